/* The values of a block's records, by column: see values.c. Included only by scan.c and values.c. */
#ifndef LANDFALL_VALUES_H
#define LANDFALL_VALUES_H

#include "kernel.h"

/* The structures of Arrow's C data interface, by its specification. */
typedef struct arrow_schema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct arrow_schema **children, *dictionary;
    void (*release)(struct arrow_schema *);
    void *private_data;
} arrow_schema;

typedef struct arrow_array {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct arrow_array **children, *dictionary;
    void (*release)(struct arrow_array *);
    void *private_data;
} arrow_array;

/* The values of one column; those of candidates are undefined, but valid. */
typedef struct {
    int32_t store;  /* enum store */
    size_t room;    /* most records */
    void *data;     /* the values, or views of texts */
    uint8_t *valid; /* one bit for each record; NULL if no value is null */
    uint8_t *heap;  /* the longer texts */
    size_t used, heap_room;
} values;

int begin_values(values *v, int32_t store, size_t room);
void free_values(values *v);
int put_null(values *v, size_t record);
void put_integer(values *v, size_t record, int64_t value);
void put_double(values *v, size_t record, double value);
int put_text(values *v, size_t record, const uint8_t *at, size_t length);
int take_values(values **columns, const int32_t *positions, size_t count, size_t rows,
                arrow_schema *schema, arrow_array *array);

#endif
