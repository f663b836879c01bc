/* Sets of numbers: the keys that were seen, and how many different values there are. */
#include <stdlib.h>

#include "kernel.h"

#define PARTS 256
#define AHEAD 32

/* Open addressing, in parts so that growing copies only a little at a time. A slot is one number,
 * or two of them for keys that are text; a slot of zeros is free. */
typedef struct {
    int64_t *slots;
    size_t room, held;
} part;

struct seen {
    part parts[PARTS];
    secret with;
    size_t words; /* numbers of a slot */
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

/* The numbers of texts that stand one behind the other in `data`. */
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

static int grow(seen *set, part *one) {
    size_t room = one->room ? one->room + one->room / 2 : 32;
    int64_t *slots = calloc(room * set->words, sizeof *slots);
    if (!slots)
        return 0;
    for (size_t i = 0; i < one->room; i++) {
        const int64_t *from = one->slots + i * set->words;
        if (from[0] == 0 && (set->words == 1 || from[1] == 0))
            continue;
        size_t at = slot_of(place(set, from[0]), room);
        while (slots[at * set->words] || (set->words == 2 && slots[at * 2 + 1]))
            at = at + 1 == room ? 0 : at + 1;
        memcpy(slots + at * set->words, from, set->words * sizeof *slots);
    }
    free(one->slots);
    one->slots = slots;
    one->room = room;
    return 1;
}

/* 1 if the key was there, 0 if it is new and was taken in, -1 without memory. */
static int take(seen *set, int64_t first, int64_t second) {
    if (set->words == 1 && first == 0) {
        int was = set->zero;
        set->zero = 1;
        set->count += !was;
        return was;
    }
    uint64_t hash = place(set, first);
    part *one = &set->parts[hash >> 56];
    if (4 * (one->held + 1) > 3 * one->room && !grow(set, one))
        return -1;
    size_t at = slot_of(hash, one->room);
    for (;; at = at + 1 == one->room ? 0 : at + 1) {
        int64_t *slot = one->slots + at * set->words;
        if (slot[0] == first && (set->words == 1 || slot[1] == second))
            return 1;
        if (slot[0] == 0 && (set->words == 1 || slot[1] == 0)) {
            slot[0] = first;
            if (set->words == 2)
                slot[1] = second;
            one->held++;
            set->count++;
            return 0;
        }
    }
}

/* Takes keys in; `again` gets the positions of those that were there before, in this call or an
 * earlier one. How many; -1 without memory. `second` and `absent` may be null. */
EXPORT int64_t lf_seen_take(seen *set, const int64_t *first, const int64_t *second,
                     const uint8_t *absent, uint64_t count, uint32_t *again) {
    int64_t repeats = 0;
    for (uint64_t start = 0; start < count; start += AHEAD) {
        uint64_t stop = start + AHEAD < count ? start + AHEAD : count;
        for (uint64_t i = start; i < stop; i++) { /* the memory of all of them at once */
            uint64_t hash = place(set, first[i]);
            const part *one = &set->parts[hash >> 56];
            if (one->room)
                __builtin_prefetch(one->slots + slot_of(hash, one->room) * set->words, 1);
        }
        for (uint64_t i = start; i < stop; i++) {
            if (absent && absent[i])
                continue;
            int known = take(set, first[i], second ? second[i] : 0);
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
    sketch *one = calloc(1, sizeof *one);
    if (one)
        one->limit = FIRST_LIMIT;
    return one;
}

EXPORT void lf_sketch_free(sketch *one) { free(one); }

static int put(uint64_t *table, uint64_t hash) {
    /* Low hashes differ in their lower bits alone. */
    for (uint32_t at = (uint32_t)hash & (ROOM - 1);; at = (at + 1) & (ROOM - 1)) {
        if (table[at] == hash)
            return 0;
        if (table[at] == 0) {
            table[at] = hash;
            return 1;
        }
    }
}

/* Halves the limit; no other memory is needed, for the kept ones are put in anew. */
static void halve(sketch *one) {
    static const uint32_t most = LOW + 1;
    uint64_t kept[LOW + 1];
    uint32_t count = 0;
    one->limit /= 2;
    for (uint32_t i = 0; i < ROOM; i++) {
        if (one->low[i] && one->low[i] < one->limit && count < most)
            kept[count++] = one->low[i];
        one->low[i] = 0;
    }
    for (uint32_t i = 0; i < count; i++)
        put(one->low, kept[i]);
    one->lows = count;
}

EXPORT void lf_sketch_add(sketch *one, const uint64_t *hashes, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = hashes[i] ? hashes[i] : 1;
        uint8_t *slot = &one->taken[hash >> 48];
        one->slots += !*slot;
        *slot = 1;
        if (hash < one->limit && put(one->low, hash)) {
            one->lows++;
            while (one->lows > LOW)
                halve(one);
        }
    }
}

EXPORT void lf_sketch_add_integers(sketch *one, const int64_t *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = mixed(values[i]);
        lf_sketch_add(one, &hash, 1);
    }
}

/* Texts that stand one behind the other in `data`. */
EXPORT void lf_sketch_add_texts(sketch *one, const uint8_t *data, const uint64_t *lengths,
                         uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = sketched(data, lengths[i], data + lengths[i]);
        lf_sketch_add(one, &hash, 1);
        data += lengths[i];
    }
}

/* Slots taken, hashes below the limit, and the limit. */
EXPORT void lf_sketch_read(const sketch *one, uint64_t *found) {
    found[0] = one->slots;
    found[1] = one->lows;
    found[2] = one->limit;
}
