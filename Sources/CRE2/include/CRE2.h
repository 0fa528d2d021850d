// RE2 for Swift: the few calls that CEL's `matches` needs, in C, since Swift's C++ interoperability would spread
// through every module that imports it.
#ifndef WEIR_CRE2_H
#define WEIR_CRE2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_re2 weir_re2;

// A compiled pattern; NULL when RE2 does not accept it or its program needs more than max_memory bytes. The caller
// frees it. Usable from any thread, by many at once.
weir_re2 *weir_re2_compile(const uint8_t *pattern, size_t count, int64_t max_memory);

// Whether the pattern is found anywhere in the text.
bool weir_re2_matches(const weir_re2 *pattern, const uint8_t *text, size_t count);

// How many instructions the pattern's program has: what a search may take for each octet, when RE2 runs out of memory
// for its automaton.
int weir_re2_program_size(const weir_re2 *pattern);

void weir_re2_free(weir_re2 *pattern);

#ifdef __cplusplus
}
#endif

#endif
