// Nothing to call: the library works by being preloaded (LD_PRELOAD), with WEIR_CLOCK_SHIFT naming its file.
#ifndef CLOCK_SHIFT_H
#define CLOCK_SHIFT_H
#endif
