/* The values of a block's records as Arrow columns, by the C data interface of Apache Arrow.
 *
 * They are collected while the cells are checked, so a value is read once: what was validated is
 * what is stored. Each column owns its memory until its consumer releases it. */
#include <stdlib.h>

#include "kernel.h"
#include "values.h"

#define NULLABLE 2
#define BUFFERS 4

static const char *const FORMATS[] = {"", "l", "g", "b", "tdD", "tsu:UTC", "ttn", "vu"};
/* Bytes of a value; booleans are bits. */
static const size_t SIZES[] = {0, 8, 8, 0, 4, 8, 8, 16};
/* Views hold so many characters themselves. */
#define INLINE 12

int begin_values(values *v, int32_t store, size_t room) {
    free_values(v);
    v->store = store;
    v->room = room;
    v->data = calloc(room + 1, SIZES[store] ? SIZES[store] : 1);
    return v->data != NULL;
}

void free_values(values *v) {
    free(v->data);
    free(v->valid);
    free(v->heap);
    memset(v, 0, sizeof *v);
}

int put_null(values *v, size_t record) {
    if (!v->valid) {
        v->valid = malloc(v->room / 8 + 1);
        if (!v->valid)
            return 0;
        memset(v->valid, 0xFF, v->room / 8 + 1);
    }
    v->valid[record >> 3] &= (uint8_t)~(1u << (record & 7));
    return 1;
}

void put_integer(values *v, size_t record, int64_t value) {
    if (v->store == STORE_BOOLEAN) {
        if (value)
            ((uint8_t *)v->data)[record >> 3] |= (uint8_t)(1u << (record & 7));
    } else if (v->store == STORE_DAY)
        ((int32_t *)v->data)[record] = (int32_t)value;
    else
        ((int64_t *)v->data)[record] = v->store == STORE_CLOCK ? value * 1000 : value;
}

void put_double(values *v, size_t record, double value) {
    ((double *)v->data)[record] = value;
}

int put_text(values *v, size_t record, const uint8_t *at, size_t length) {
    uint8_t *view = (uint8_t *)v->data + 16 * record;
    uint32_t size = (uint32_t)length;
    memcpy(view, &size, 4);
    if (length <= INLINE) {
        memcpy(view + 4, at, length);
        return 1;
    }
    if (v->used + length > v->heap_room) {
        size_t more = 2 * (v->used + length) + 4096;
        uint8_t *held = realloc(v->heap, more);
        if (!held)
            return 0;
        v->heap = held;
        v->heap_room = more;
    }
    uint32_t offset = (uint32_t)v->used;
    memcpy(v->heap + v->used, at, length);
    v->used += length;
    memcpy(view + 4, at, 4);
    memset(view + 8, 0, 4);
    memcpy(view + 12, &offset, 4);
    return 1;
}

/* ---- Columns as Arrow ---- */

/* What a child array owns. */
typedef struct {
    values held;
    int64_t heap_size;
    const void *buffers[BUFFERS];
} owned;

static void release_child_schema(arrow_schema *s) {
    free(s->private_data); /* the name */
    s->release = NULL;
}

static void release_child_array(arrow_array *a) {
    owned *o = a->private_data;
    free_values(&o->held);
    free(o);
    a->release = NULL;
}

/* A child may have been moved elsewhere: then it is not released here. */
static void release_schema(arrow_schema *s) {
    for (int64_t i = 0; s->children && i < s->n_children; i++) {
        if (s->children[i] && s->children[i]->release)
            s->children[i]->release(s->children[i]);
        free(s->children[i]);
    }
    free(s->children);
    s->release = NULL;
}

static void release_array(arrow_array *a) {
    for (int64_t i = 0; a->children && i < a->n_children; i++) {
        if (a->children[i] && a->children[i]->release)
            a->children[i]->release(a->children[i]);
        free(a->children[i]);
    }
    free(a->children);
    free(a->buffers);
    a->release = NULL;
}

/* Moves the values of a column into a new child; 0 without memory. */
static int add_child(arrow_schema *schema, arrow_array *array, int64_t at, int64_t position,
                     values *v) {
    static const uint8_t NOTHING[8] = {0};
    arrow_schema *s = schema->children[at] = calloc(1, sizeof *s);
    arrow_array *a = array->children[at] = calloc(1, sizeof *a);
    char *name = calloc(1, 24);
    owned *o = calloc(1, sizeof *o);
    if (!s || !a || !name || !o) {
        free(name);
        free(o);
        return 0;
    }
    char digits[24];
    size_t from = sizeof digits;
    do
        digits[--from] = (char)('0' + position % 10);
    while (position /= 10);
    memcpy(name, digits + from, sizeof digits - from);
    *s = (arrow_schema){.format = FORMATS[v->store], .name = name, .flags = NULLABLE,
                        .release = release_child_schema, .private_data = name};
    o->held = *v;
    memset(v, 0, sizeof *v);
    o->heap_size = (int64_t)o->held.used;
    o->buffers[0] = o->held.valid;
    o->buffers[1] = o->held.data;
    o->buffers[2] = o->held.heap ? o->held.heap : NOTHING;
    o->buffers[3] = &o->heap_size;
    *a = (arrow_array){.length = array->length, .null_count = o->held.valid ? -1 : 0,
                       .n_buffers = o->held.store == STORE_TEXT ? 4 : 2, .buffers = o->buffers,
                       .release = release_child_array, .private_data = o};
    return 1;
}

int take_values(values **columns, const int32_t *positions, size_t count, size_t rows,
                arrow_schema *schema, arrow_array *array) {
    *schema = (arrow_schema){.format = "+s", .name = "", .n_children = (int64_t)count,
                             .children = calloc(count + 1, sizeof *schema->children),
                             .release = release_schema};
    *array = (arrow_array){.length = (int64_t)rows, .n_buffers = 1, .n_children = (int64_t)count,
                           .buffers = calloc(1, sizeof *array->buffers),
                           .children = calloc(count + 1, sizeof *array->children),
                           .release = release_array};
    int done = schema->children && array->buffers && array->children;
    for (size_t i = 0; done && i < count; i++)
        done = add_child(schema, array, (int64_t)i, positions[i], columns[i]);
    if (!done) {
        schema->release(schema);
        array->release(array);
    }
    return done;
}

/* Releases what was not taken by a consumer. */
EXPORT void lf_release_values(arrow_schema *schema, arrow_array *array) {
    if (schema->release)
        schema->release(schema);
    if (array->release)
        array->release(array);
}
