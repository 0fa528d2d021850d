// libpq, wrapped once by Sources/Postgres.
#pragma once
#include <libpq-fe.h>

// The default receiver prints notices on stderr, where our JSON log is.
static inline void weir_pq_ignore_notice(void *context, const PGresult *result) {}
static inline void weir_pq_ignore_notices(PGconn *connection) {
    PQsetNoticeReceiver(connection, weir_pq_ignore_notice, 0);
}
