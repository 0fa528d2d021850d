// Counts this thread's heap allocations, for tests of what must not allocate. Test programs only: the .c file
// replaces the C library's allocator entry points in whatever it is linked into.
#ifndef WEIR_ALLOCATION_COUNTER_H
#define WEIR_ALLOCATION_COUNTER_H

#include <stdint.h>

/// How often this thread has allocated or grown memory since it began.
uint64_t weir_allocation_count(void);

#endif
