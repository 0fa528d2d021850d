// zlib for OTLP's compression: what Swift cannot import is a macro.
#ifndef WEIR_CZLIB_H
#define WEIR_CZLIB_H

#include <zlib.h>

static inline int weir_deflate_init_gzip(z_stream *stream) {
    return deflateInit2(stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

#endif
