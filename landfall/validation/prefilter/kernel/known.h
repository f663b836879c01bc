/* What a scanner knows of each column, and what it reports. For scan.c alone, as records.h. */
#ifndef LANDFALL_KNOWN_H
#define LANDFALL_KNOWN_H

#include <stdlib.h>

#include "records.h"

typedef struct {
    uint64_t a, b;
    uint64_t length; /* of no entry zero: a missing value is never looked up */
} entry;

typedef struct {
    entry *slots;
    uint64_t *taken; /* slots of the sketch that have been reported, once there is one */
    uint32_t mask, held;
    uint32_t looks, hits; /* since it is full */
    uint64_t small[64];   /* whole numbers below KNOWN that were met */
    uint32_t room_integers, room_texts, room_hashes;
} memory;

struct scanner {
    secret with;
    column *columns;
    memory *memories;
    key *keys;
    field *fields;
    size_t n_columns, n_keys, width;
    question *questions;
    size_t asked;
    int32_t *empty; /* columns that are empty in the record at hand */
    ref *cells;     /* of the record at hand, by column */
    int64_t *values;
    uint8_t *part; /* the text of a key over several columns */
    size_t part_room;
    uint8_t *scratch; /* cells whose doubled quotes were undone */
    size_t scratch_room, scratched;
    /* The block. */
    walker w;
    size_t at;
    uint32_t line;
    uint32_t *starts, *ends, *lines;
    uint8_t *suspects;
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
    entry one = {0, 0, length};
    if (length <= 16)
        words(at, length, end, &one.a, &one.b);
    else { /* as keys: two hashes under chance secrets stand for the text */
        one.a = hashed(at, length, end, with->a, with->b);
        one.b = hashed(at, length, end, with->c, with->d);
    }
    return one;
}

static inline uint32_t home(const secret *with, const entry *one) {
    return (uint32_t)(fold(one->a ^ with->a, one->b ^ with->b ^ one->length) >> 32);
}

static inline int is_known(const memory *m, const secret *with, const entry *one) {
    if (!m->slots)
        return 0;
    for (uint32_t at = home(with, one) & m->mask;; at = (at + 1) & m->mask) {
        const entry *slot = &m->slots[at];
        if (slot->length == one->length && slot->a == one->a && slot->b == one->b)
            return 1;
        if (slot->length == 0)
            return 0;
    }
}

/* Remembers an entry that is not known; 0 if there is no room for it. */
static int remember(scanner *s, memory *m, const entry *one) {
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
            uint32_t at = home(&s->with, &m->slots[i]) & mask;
            while (slots[at].length)
                at = (at + 1) & mask;
            slots[at] = m->slots[i];
        }
        free(m->slots);
        m->slots = slots;
        m->mask = mask;
    }
    uint32_t at = home(&s->with, one) & m->mask;
    while (m->slots[at].length)
        at = (at + 1) & m->mask;
    m->slots[at] = *one;
    m->held++;
    return 1;
}

static void *grown(scanner *s, void *held, uint32_t *room, int64_t wanted, size_t size) {
    if (wanted < (int64_t)*room)
        return held;
    uint32_t more = *room ? 2 * *room : 64;
    void *found = realloc(held, (size_t)more * size);
    if (!found) {
        s->failed = 1;
        return NULL;
    }
    *room = more;
    return found;
}

static void report_integer(scanner *s, column *c, memory *m, int64_t value) {
    void *held = grown(s, c->integers, &m->room_integers, c->fresh, sizeof *c->integers);
    if (held) {
        c->integers = held;
        c->integers[c->fresh++] = value;
    }
}

static void report_text(scanner *s, column *c, memory *m, ref cell) {
    void *held = grown(s, c->texts, &m->room_texts, c->fresh, sizeof *c->texts);
    if (held) {
        c->texts = held;
        c->texts[c->fresh++] = cell;
    }
}

/* Values that are too many to be remembered: each hash that could change a sketch. */
static void report_hash(scanner *s, column *c, memory *m, uint64_t hash) {
    if (!m->taken && !(m->taken = calloc(1024, sizeof *m->taken))) {
        s->failed = 1;
        return;
    }
    uint64_t *word = &m->taken[hash >> 54], bit = 1ull << ((hash >> 48) & 63);
    if ((*word & bit) && hash >= FIRST_LIMIT)
        return;
    *word |= bit;
    void *held = grown(s, c->hash, &m->room_hashes, c->hashes, sizeof *c->hash);
    if (held) {
        c->hash = held;
        c->hash[c->hashes++] = hash;
    }
}

static inline void meet_integer(scanner *s, column *c, memory *m, int64_t value) {
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
    if (m->looks < KNOWN || m->hits * 4 >= m->looks) { /* else hardly any of them is known */
        entry one = {(uint64_t)value, 0, 1};
        int known = is_known(m, &s->with, &one);
        if (m->held >= KNOWN) {
            m->looks++;
            m->hits += (uint32_t)known;
        }
        if (known)
            return;
        if (remember(s, m, &one)) {
            report_integer(s, c, m, value);
            return;
        }
    }
    report_hash(s, c, m, mixed(value));
}

static int before(const scanner *s, ref one, ref other) {
    const uint8_t *end, *a = bytes_of(s, one, &end), *b = bytes_of(s, other, &end);
    int order = memcmp(a, b, one.length < other.length ? one.length : other.length);
    return order ? order < 0 : one.length < other.length;
}

/* A sound value, but of an INTEGER, that is new as far as is known: its `number` if it is a
 * NUMBER, its `count` if it is a MOMENT. */
static void meet_text(scanner *s, column *c, memory *m, ref cell, const entry *one, double number,
                      int64_t count, int lookable) {
    if (c->kind == NUMBER) {
        c->least_found = c->any && c->least_found <= number ? c->least_found : number;
        c->most_found = c->any && c->most_found >= number ? c->most_found : number;
    } else if (c->kind == MOMENT) {
        c->low_found = c->any && c->low_found <= count ? c->low_found : count;
        c->high_found = c->any && c->high_found >= count ? c->high_found : count;
    } else {
        if (!c->any || before(s, cell, c->first_found))
            c->first_found = cell;
        if (!c->any || before(s, c->last_found, cell))
            c->last_found = cell;
    }
    c->any = 1;
    if (lookable && remember(s, m, one))
        report_text(s, c, m, cell);
    else {
        const uint8_t *end, *at = bytes_of(s, cell, &end);
        report_hash(s, c, m, sketched(at, cell.length, end));
    }
}

#endif
