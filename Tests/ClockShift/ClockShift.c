// A wall clock that a test moves, for one process: preloaded, it answers the C library's clock calls with the kernel's
// time plus the seconds in a shared file. Not libfaketime: that one recurses to death under Redis's allocator.
#define _GNU_SOURCE
#include "ClockShift.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// Seconds, written by the test at any moment; a page of zeros until there is a file.
static volatile const int64_t *shift_seconds;

__attribute__((constructor)) static void open_file(void) {
    const char *path = getenv("WEIR_CLOCK_SHIFT");
    if (path == NULL) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) shift_seconds = page;
}

static int64_t shift(void) { return shift_seconds == NULL ? 0 : *shift_seconds; }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int code = (int)syscall(SYS_clock_gettime, clock, time);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += shift();
    return code;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL) *result = now.tv_sec;
    return now.tv_sec;
}
