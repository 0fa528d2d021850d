// Linux calls that Swift's Glibc module does not cover.
#pragma once
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

// The EFD_* names are an anonymous enum, which Swift imports without a useful type.
static inline int weir_eventfd_create(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

// prctl is variadic.
static inline int weir_set_thread_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }

// glibc declares these two only under _GNU_SOURCE, which Swift's importer does not define.
#include <spawn.h>
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);

#include <sys/syscall.h>
#include <unistd.h>

// The cores this process may run on; the libc wrapper hides behind _GNU_SOURCE, which the importer does not set.
static inline int weir_usable_cores(void) {
    unsigned long mask[16] = {0};
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    int count = 0;
    for (long index = 0; index * (long)sizeof(long) < bytes; index++) count += __builtin_popcountl(mask[index]);
    return count > 0 ? count : 1;
}
