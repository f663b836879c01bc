/* Key sets for duplicates, and sketches of distinct values. */
#include <stdlib.h>

#include "kernel.h"

#define PARTS 256
#define AHEAD 32

/* A hash table with open addressing, in parts so that growing copies few slots at a time. A slot is
 * one number, or two for text keys; a slot of zeros is free. */
typedef struct {
    int64_t *slots;
    size_t room, held;
} part;

struct seen {
    part parts[PARTS];
    secret with;
    size_t words; /* numbers in a slot */
    int zero;     /* whether the key of zeros was seen */
    size_t count;
};

EXPORT seen *lf_seen_new(const secret *with, int whole_numbers) {
    seen *set = calloc(1, sizeof *set);
    if (set) {
        set->with = *with;
        set->words = whole_numbers ? 1 : 2;
    }
    return set;
}

EXPORT void lf_seen_free(seen *set) {
    for (size_t i = 0; set && i < PARTS; i++)
        free(set->parts[i].slots);
    free(set);
}

EXPORT uint64_t lf_seen_count(const seen *set) { return set->count; }

void key_of_text(const secret *with, const uint8_t *at, size_t length, const uint8_t *end,
                 int64_t *first, int64_t *second) {
    *first = (int64_t)hashed(at, length, end, with->a, with->b);
    *second = (int64_t)hashed(at, length, end, with->c, with->d);
    if (*first == 0 && *second == 0)
        *second = 1; /* zeros mean a free slot */
}

/* Computes the numbers of concatenated texts in `data`. */
EXPORT void lf_keys_of_texts(const secret *with, const uint8_t *data, const uint64_t *lengths,
                             uint64_t count, int64_t *first, int64_t *second) {
    for (uint64_t i = 0; i < count; i++) {
        key_of_text(with, data, lengths[i], data + lengths[i], first + i, second + i);
        data += lengths[i];
    }
}

static inline uint64_t place(const seen *set, int64_t key) {
    return fold((uint64_t)key ^ set->with.a, set->with.b);
}

static inline size_t slot_of(uint64_t hash, size_t room) {
    __extension__ typedef unsigned __int128 wide;
    return (size_t)(((wide)(hash << 8) * room) >> 64);
}

static int grow(seen *set, part *p) {
    size_t room = p->room ? p->room + p->room / 2 : 32;
    int64_t *slots = calloc(room * set->words, sizeof *slots);
    if (!slots)
        return 0;
    for (size_t i = 0; i < p->room; i++) {
        const int64_t *from = p->slots + i * set->words;
        if (from[0] == 0 && (set->words == 1 || from[1] == 0))
            continue;
        size_t at = slot_of(place(set, from[0]), room);
        while (slots[at * set->words] || (set->words == 2 && slots[at * 2 + 1]))
            at = at + 1 == room ? 0 : at + 1;
        memcpy(slots + at * set->words, from, set->words * sizeof *slots);
    }
    free(p->slots);
    p->slots = slots;
    p->room = room;
    return 1;
}

/* Adds a key: 1 if it was present, 0 if it is new, -1 without memory. */
static int add_key(seen *set, int64_t first, int64_t second) {
    if (set->words == 1 && first == 0) {
        int was = set->zero;
        set->zero = 1;
        set->count += !was;
        return was;
    }
    uint64_t hash = place(set, first);
    part *p = &set->parts[hash >> 56];
    if (4 * (p->held + 1) > 3 * p->room && !grow(set, p))
        return -1;
    size_t at = slot_of(hash, p->room);
    for (;; at = at + 1 == p->room ? 0 : at + 1) {
        int64_t *slot = p->slots + at * set->words;
        if (slot[0] == first && (set->words == 1 || slot[1] == second))
            return 1;
        if (slot[0] == 0 && (set->words == 1 || slot[1] == 0)) {
            slot[0] = first;
            if (set->words == 2)
                slot[1] = second;
            p->held++;
            set->count++;
            return 0;
        }
    }
}

/* Adds keys; writes the positions of duplicates to `again` and returns their number; -1 without
 * memory. `second` and `absent` may be null. */
EXPORT int64_t lf_seen_take(seen *set, const int64_t *first, const int64_t *second,
                     const uint8_t *absent, uint64_t count, uint32_t *again) {
    int64_t repeats = 0;
    for (uint64_t start = 0; start < count; start += AHEAD) {
        uint64_t stop = start + AHEAD < count ? start + AHEAD : count;
        for (uint64_t i = start; i < stop; i++) { /* prefetch all slots */
            uint64_t hash = place(set, first[i]);
            const part *p = &set->parts[hash >> 56];
            if (p->room)
                __builtin_prefetch(p->slots + slot_of(hash, p->room) * set->words, 1);
        }
        for (uint64_t i = start; i < stop; i++) {
            if (absent && absent[i])
                continue;
            int known = add_key(set, first[i], second ? second[i] : 0);
            if (known < 0)
                return -1;
            if (known)
                again[repeats++] = (uint32_t)i;
        }
    }
    return repeats;
}

#define SLOTS (1u << 16)
#define LOW (1u << 14)
#define ROOM (1u << 16) /* of the table of low hashes: a quarter full at most */

/* See Distinct in profile.py: slots taken by hashes, and the hashes below a limit. */
struct sketch {
    uint8_t taken[SLOTS];
    uint64_t limit;
    uint32_t slots, lows;
    uint64_t low[ROOM]; /* zero is free, so a hash of zero counts as one */
};

EXPORT sketch *lf_sketch_new(void) {
    sketch *s = calloc(1, sizeof *s);
    if (s)
        s->limit = FIRST_LIMIT;
    return s;
}

EXPORT void lf_sketch_free(sketch *s) { free(s); }

static int put(uint64_t *table, uint64_t hash) {
    /* Low hashes differ only in their lower bits. */
    for (uint32_t at = (uint32_t)hash & (ROOM - 1);; at = (at + 1) & (ROOM - 1)) {
        if (table[at] == hash)
            return 0;
        if (table[at] == 0) {
            table[at] = hash;
            return 1;
        }
    }
}

/* Halves the limit and inserts the remaining hashes again, without allocation. */
static void halve(sketch *s) {
    static const uint32_t most = LOW + 1;
    uint64_t kept[LOW + 1];
    uint32_t count = 0;
    s->limit /= 2;
    for (uint32_t i = 0; i < ROOM; i++) {
        if (s->low[i] && s->low[i] < s->limit && count < most)
            kept[count++] = s->low[i];
        s->low[i] = 0;
    }
    for (uint32_t i = 0; i < count; i++)
        put(s->low, kept[i]);
    s->lows = count;
}

EXPORT void lf_sketch_add(sketch *s, const uint64_t *hashes, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = hashes[i] ? hashes[i] : 1;
        uint8_t *slot = &s->taken[hash >> 48];
        s->slots += !*slot;
        *slot = 1;
        if (hash < s->limit && put(s->low, hash)) {
            s->lows++;
            while (s->lows > LOW)
                halve(s);
        }
    }
}

EXPORT void lf_sketch_add_integers(sketch *s, const int64_t *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = mixed(values[i]);
        lf_sketch_add(s, &hash, 1);
    }
}

/* Adds concatenated texts in `data`. */
EXPORT void lf_sketch_add_texts(sketch *s, const uint8_t *data, const uint64_t *lengths,
                         uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = sketched(data, lengths[i], data + lengths[i]);
        lf_sketch_add(s, &hash, 1);
        data += lengths[i];
    }
}

/* Slots taken, hashes below the limit, and the limit. */
EXPORT void lf_sketch_read(const sketch *s, uint64_t *state) {
    state[0] = s->slots;
    state[1] = s->lows;
    state[2] = s->limit;
}
