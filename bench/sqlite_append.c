/* What SQLite itself can do: rows of a journal's size appended from C, so many a commit, with WAL and synchronous=FULL.
 *
 *     sqlite_append FILE ROWS ROWS_PER_COMMIT INPUT_BYTES EVENT_BYTES
 *
 * Prints rows a second. Rows are those of the launcher's own table, without its checksums.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void must(sqlite3 *db, int code) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(db));
        exit(1);
    }
}

static void run(sqlite3 *db, const char *sql) { must(db, sqlite3_exec(db, sql, NULL, NULL, NULL)); }

static double now_s(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: sqlite_append FILE ROWS ROWS_PER_COMMIT INPUT_BYTES EVENT_BYTES\n");
        return 2;
    }
    long rows = atol(argv[2]), group = atol(argv[3]), input_bytes = atol(argv[4]), event_bytes = atol(argv[5]);
    char *input = malloc((size_t)input_bytes), *event = malloc((size_t)event_bytes);
    memset(input, 'x', (size_t)input_bytes);
    memset(event, 'y', (size_t)event_bytes);
    sqlite3 *db;
    must(NULL, sqlite3_open(argv[1], &db));
    run(db, "PRAGMA journal_mode=WAL");
    run(db, "PRAGMA wal_autocheckpoint=0");
    run(db, "PRAGMA synchronous=FULL");
    run(db, "CREATE TABLE steps (step INTEGER PRIMARY KEY, run INTEGER, version INTEGER, at_ms INTEGER, chain INTEGER,"
            " input BLOB, events BLOB)");
    sqlite3_stmt *insert, *begin, *commit;
    must(db, sqlite3_prepare_v2(db, "INSERT INTO steps VALUES (?,?,?,?,?,?,?)", -1, &insert, NULL));
    must(db, sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, NULL));
    must(db, sqlite3_prepare_v2(db, "COMMIT", -1, &commit, NULL));
    double began = now_s();
    for (long row = 1; row <= rows;) {
        must(db, sqlite3_step(begin));
        must(db, sqlite3_reset(begin));
        for (long i = 0; i < group && row <= rows; i++, row++) {
            sqlite3_bind_int64(insert, 1, row);
            sqlite3_bind_int64(insert, 2, 1);
            sqlite3_bind_int64(insert, 3, row);
            sqlite3_bind_int64(insert, 4, 1700000000000 + row);
            sqlite3_bind_int64(insert, 5, row * 2654435761 % 4294967296);
            sqlite3_bind_blob(insert, 6, input, (int)input_bytes, SQLITE_STATIC);
            sqlite3_bind_blob(insert, 7, event, (int)event_bytes, SQLITE_STATIC);
            must(db, sqlite3_step(insert));
            must(db, sqlite3_reset(insert));
        }
        must(db, sqlite3_step(commit));
        must(db, sqlite3_reset(commit));
    }
    printf("%.0f\n", (double)rows / (now_s() - began));
    sqlite3_close(db);
    return 0;
}
