// libpq, wrapped once by Sources/Postgres.
#pragma once
#include <libpq-fe.h>
