/* The cache of valid cells of each column, and its facts. Included only by scan.c. */
#ifndef LANDFALL_KNOWN_H
#define LANDFALL_KNOWN_H

#include <stdlib.h>

#include "records.h"
#include "values.h"

typedef struct {
    uint64_t a, b;
    uint64_t length; /* never zero for an entry: null is not looked up */
} entry;

typedef struct {
    entry *slots;
    uint64_t *taken; /* slots of the sketch that were reported, if there is one */
    uint32_t mask, held;
    uint32_t looks, hits; /* since the cache is full */
    uint64_t small[64];   /* integers below KNOWN that are cached */
    uint32_t room_integers, room_texts, room_hashes;
} cache;

struct scanner {
    secret with;
    column *columns;
    cache *caches;
    key *keys;
    field *fields;
    size_t n_columns, n_keys, width;
    question *questions;
    size_t asked;
    int32_t *empty; /* columns that are empty in the current record */
    ref *cells;     /* of the current record, by column */
    int64_t *values;
    values *stored; /* by column */
    uint8_t *part; /* the text of a composite key */
    size_t part_room;
    uint8_t *scratch; /* cells with unescaped quotes */
    size_t scratch_room, scratched;
    /* The block. */
    walker w;
    size_t at;
    uint32_t line;
    uint32_t *starts, *ends, *lines;
    uint8_t *candidates;
    size_t records, room;
    int failed;
};

static inline const uint8_t *bytes_of(const scanner *s, ref cell, const uint8_t **end) {
    if (cell.at < s->w.length) {
        *end = s->w.data + s->w.length;
        return s->w.data + cell.at;
    }
    *end = s->scratch + s->scratched;
    return s->scratch + (cell.at - s->w.length);
}

static inline entry entry_of(const secret *with, const uint8_t *at, size_t length,
                             const uint8_t *end) {
    entry e = {0, 0, length};
    if (length <= 16)
        words(at, length, end, &e.a, &e.b);
    else { /* as for keys: two hashes with random secrets */
        e.a = hashed(at, length, end, with->a, with->b);
        e.b = hashed(at, length, end, with->c, with->d);
    }
    return e;
}

static inline uint32_t home_slot(const secret *with, const entry *e) {
    return (uint32_t)(fold(e->a ^ with->a, e->b ^ with->b ^ e->length) >> 32);
}

static inline int is_known(const cache *m, const secret *with, const entry *e) {
    if (!m->slots)
        return 0;
    for (uint32_t at = home_slot(with, e) & m->mask;; at = (at + 1) & m->mask) {
        const entry *slot = &m->slots[at];
        if (slot->length == e->length && slot->a == e->a && slot->b == e->b)
            return 1;
        if (slot->length == 0)
            return 0;
    }
}

/* Adds an entry to the cache; 0 if the cache is full. */
static int add_to_cache(scanner *s, cache *m, const entry *e) {
    if (m->held >= KNOWN)
        return 0;
    if (2 * (m->held + 1) > m->mask) {
        uint32_t mask = m->mask ? 2 * m->mask + 1 : 31;
        entry *slots = calloc((size_t)mask + 1, sizeof *slots);
        if (!slots) {
            s->failed = 1;
            return 0;
        }
        for (uint32_t i = 0; m->slots && i <= m->mask; i++) {
            if (m->slots[i].length == 0)
                continue;
            uint32_t at = home_slot(&s->with, &m->slots[i]) & mask;
            while (slots[at].length)
                at = (at + 1) & mask;
            slots[at] = m->slots[i];
        }
        free(m->slots);
        m->slots = slots;
        m->mask = mask;
    }
    uint32_t at = home_slot(&s->with, e) & m->mask;
    while (m->slots[at].length)
        at = (at + 1) & m->mask;
    m->slots[at] = *e;
    m->held++;
    return 1;
}

static void *ensure_room(scanner *s, void *held, uint32_t *room, int64_t count, size_t size) {
    if (count < (int64_t)*room)
        return held;
    uint32_t more = *room ? 2 * *room : 64;
    void *bigger = realloc(held, (size_t)more * size);
    if (!bigger) {
        s->failed = 1;
        return NULL;
    }
    *room = more;
    return bigger;
}

static void report_integer(scanner *s, column *c, cache *m, int64_t value) {
    void *held = ensure_room(s, c->integers, &m->room_integers, c->fresh, sizeof *c->integers);
    if (held) {
        c->integers = held;
        c->integers[c->fresh++] = value;
    }
}

static void report_text(scanner *s, column *c, cache *m, ref cell) {
    void *held = ensure_room(s, c->texts, &m->room_texts, c->fresh, sizeof *c->texts);
    if (held) {
        c->texts = held;
        c->texts[c->fresh++] = cell;
    }
}

/* For values that do not fit the cache: reports each hash that could change a sketch. */
static void report_hash(scanner *s, column *c, cache *m, uint64_t hash) {
    if (!m->taken && !(m->taken = calloc(1024, sizeof *m->taken))) {
        s->failed = 1;
        return;
    }
    uint64_t *word = &m->taken[hash >> 54], bit = 1ull << ((hash >> 48) & 63);
    if ((*word & bit) && hash >= FIRST_LIMIT)
        return;
    *word |= bit;
    void *held = ensure_room(s, c->hash, &m->room_hashes, c->hashes, sizeof *c->hash);
    if (held) {
        c->hash = held;
        c->hash[c->hashes++] = hash;
    }
}

static inline void add_integer(scanner *s, column *c, cache *m, int64_t value) {
    if (!c->any) {
        c->any = 1;
        c->low_found = c->high_found = value;
    }
    c->low_found = value < c->low_found ? value : c->low_found;
    c->high_found = value > c->high_found ? value : c->high_found;
    if ((uint64_t)value < KNOWN) {
        uint64_t *word = &m->small[value >> 6], bit = 1ull << (value & 63);
        if (*word & bit)
            return;
        if (m->held < KNOWN) {
            *word |= bit;
            m->held++;
            report_integer(s, c, m, value);
        } else
            report_hash(s, c, m, mixed(value));
        return;
    }
    if (m->looks < KNOWN || m->hits * 4 >= m->looks) { /* else the cache is rarely hit */
        entry e = {(uint64_t)value, 0, 1};
        int known = is_known(m, &s->with, &e);
        if (m->held >= KNOWN) {
            m->looks++;
            m->hits += (uint32_t)known;
        }
        if (known)
            return;
        if (add_to_cache(s, m, &e)) {
            report_integer(s, c, m, value);
            return;
        }
    }
    report_hash(s, c, m, mixed(value));
}

static int is_before(const scanner *s, ref left, ref right) {
    const uint8_t *end, *a = bytes_of(s, left, &end), *b = bytes_of(s, right, &end);
    int order = memcmp(a, b, left.length < right.length ? left.length : right.length);
    return order ? order < 0 : left.length < right.length;
}

/* Adds a valid value that is not in the cache and not an INTEGER: `number` is set for a NUMBER,
 * `count` for a MOMENT and a BOOLEAN. */
static void add_text(scanner *s, column *c, cache *m, ref cell, const entry *e, double number,
                      int64_t count, int use_cache) {
    if (c->kind == NUMBER) {
        c->least_found = c->any && c->least_found <= number ? c->least_found : number;
        c->most_found = c->any && c->most_found >= number ? c->most_found : number;
    } else if (c->kind == MOMENT || c->kind == BOOLEAN) {
        c->low_found = c->any && c->low_found <= count ? c->low_found : count;
        c->high_found = c->any && c->high_found >= count ? c->high_found : count;
    } else {
        if (!c->any || is_before(s, cell, c->first_found))
            c->first_found = cell;
        if (!c->any || is_before(s, c->last_found, cell))
            c->last_found = cell;
    }
    c->any = 1;
    if (use_cache && add_to_cache(s, m, e))
        report_text(s, c, m, cell);
    else {
        const uint8_t *end, *at = bytes_of(s, cell, &end);
        report_hash(s, c, m, sketched(at, cell.length, end));
    }
}

#endif
