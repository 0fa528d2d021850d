// See CRE2.h.
#include "CRE2.h"

#include <new>
#include <re2/re2.h>

struct weir_re2 {
    re2::RE2 pattern;
    weir_re2(re2::StringPiece text, const re2::RE2::Options &options) : pattern(text, options) {}
};

weir_re2 *weir_re2_compile(const uint8_t *pattern, size_t count, int64_t max_memory) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(max_memory);
    auto *compiled = new (std::nothrow) weir_re2(re2::StringPiece(reinterpret_cast<const char *>(pattern), count), options);
    if (compiled != nullptr && !compiled->pattern.ok()) {
        delete compiled;
        return nullptr;
    }
    return compiled;
}

bool weir_re2_matches(const weir_re2 *pattern, const uint8_t *text, size_t count) {
    return re2::RE2::PartialMatch(re2::StringPiece(reinterpret_cast<const char *>(text), count), pattern->pattern);
}

int weir_re2_program_size(const weir_re2 *pattern) { return pattern->pattern.ProgramSize(); }

void weir_re2_free(weir_re2 *pattern) { delete pattern; }
