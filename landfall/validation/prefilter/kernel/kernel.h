/* The compiled prefilter of delimited text: declarations of its files.
 *
 * Python makes every decision. The kernel splits records, and passes a cell only if its column's
 * checks accept it or if Python validated the same bytes before; any other cell is a question to
 * Python. So it may mark a valid record, but it never misses an invalid one.
 *
 * Structures that Python reads are mirrored in library.py. All memory is bounded by the block,
 * by the columns and by KNOWN; every read of the block is within its length.
 */
#ifndef LANDFALL_KERNEL_H
#define LANDFALL_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#ifndef BUILT_FROM
#define BUILT_FROM ""
#endif

/* Most distinct values of a column in its cache; Distinct in profile.py counts as many. */
#define KNOWN 4096
/* Number of questions after which Python is called. */
#define WAITING 2048
/* A sketch of distinct values keeps hashes below this limit; others only take a slot. */
#define FIRST_LIMIT (1ull << 58)

enum kind { ASK = 0, INTEGER = 1, NUMBER = 2, TEXT = 3, MOMENT = 4, BOOLEAN = 5 };
/* How the characters of a cell are changed: letters to one case, or a number's separators. */
enum rewrite { NONE = 0, RECASE = 1, SEPARATORS = 2 };
/* Unit of a MOMENT: days, microseconds since 1970 in UTC, microseconds of a day. */
enum moment { DAY = 0, INSTANT = 1, CLOCK = 2 };
/* How the values of a column are stored, if they are: of ASK as the texts that Python was asked. */
enum store {
    STORE_NOTHING = 0,
    STORE_INTEGER = 1,
    STORE_DOUBLE = 2,
    STORE_BOOLEAN = 3,
    STORE_DAY = 4,
    STORE_INSTANT = 5,
    STORE_CLOCK = 6,
    STORE_TEXT = 7
};

/* Bytes of a cell: in the block if `at` is below its length, else in the scratch buffer. */
typedef struct {
    uint64_t at;
    uint64_t length;
} ref;

/* Some texts. */
typedef struct {
    int64_t count;
    uint64_t lengths;       /* bit of each of their lengths; the last one is for longer ones */
    const uint8_t *texts;   /* one behind the other */
    const uint32_t *sizes;  /* their lengths */
} words_of;

/* One column of the contract: its checks, set by Python, then its facts of a block. */
typedef struct {
    int32_t position;
    int32_t kind;
    int32_t required;
    int32_t moment;         /* of MOMENT, which of them */
    const uint8_t *layout;  /* of MOMENT, its format: see moment_of */
    int64_t low, high;      /* of INTEGER and MOMENT; of TEXT its length in characters */
    double least, most;     /* of NUMBER */
    /* Cleaning: what is done to a cell before the checks, see cleaning.c. */
    int32_t trim;
    int32_t rewrite;
    const uint16_t *cases;          /* of RECASE: each character of 16 bits, 0 if it is not sure */
    const uint8_t *decimal;         /* of SEPARATORS: text before a fraction */
    const uint8_t *thousands;       /* and between groups; empty if there are none */
    words_of missing;               /* texts that stand for no value */
    words_of yes, no;               /* of BOOLEAN */
    int64_t divisor;                /* each INTEGER, or NUMBER times ten to the power of `scale`, is
                                       a multiple of it, if it is not 0 */
    int64_t allowed_count;          /* of INTEGER: the only values, ascending, if there are any */
    const int64_t *allowed;
    int32_t store;
    int32_t scale;                  /* of NUMBER with a divisor: most digits after the point */
    /* Facts of this block; all but `nulls` only of values that are not in the cache. */
    int64_t nulls;
    int64_t any; /* whether the extremes below are those of some value */
    int64_t low_found, high_found;
    double least_found, most_found;
    ref first_found, last_found;
    int64_t fresh; /* values that are new: `integers` or `texts` */
    int64_t hashes;
    int64_t *integers;
    ref *texts;
    uint64_t *hash;
} column;

/* A cell that only Python can validate. */
typedef struct {
    ref cell;
    int64_t record;
    int64_t column;
} question;

/* One key: its columns, and the buffers for the numbers of each record. */
typedef struct {
    int32_t parts;
    int32_t whole_number; /* one integer column, whose values are the keys */
    int32_t *columns;     /* indexes of columns of kinds INTEGER, TEXT or ASK */
    int32_t *integers;    /* whether each is an integer column */
    int64_t *first, *second;
    uint8_t *absent;
} key;

typedef struct {
    uint64_t a, b, c, d;
} secret;

typedef struct scanner scanner;
typedef struct seen seen;
typedef struct sketch sketch;

/* The first bytes of a cell as two words, padded with zeros; no byte past `end` is read. */
static inline void words(const uint8_t *at, size_t length, const uint8_t *end, uint64_t *a,
                         uint64_t *b) {
    if ((size_t)(end - at) >= 16) {
        memcpy(a, at, 8);
        memcpy(b, at + 8, 8);
        if (length <= 8) {
            *b = 0;
            /* With either byte order, the first bytes in memory are kept. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            *a = length == 0 ? 0 : *a & (~0ull << (64 - 8 * length));
        } else if (length < 16) {
            *b &= ~0ull << (128 - 8 * length);
#else
            *a = length == 0 ? 0 : *a & (~0ull >> (64 - 8 * length));
        } else if (length < 16) {
            *b &= ~0ull >> (128 - 8 * length);
#endif
        }
        return;
    }
    uint8_t held[16] = {0};
    memcpy(held, at, length < 16 ? length : 16);
    memcpy(a, held, 8);
    memcpy(b, held + 8, 8);
}

static inline uint64_t fold(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A hash of bytes with a key. Where a collision would matter, the key is random in each process,
 * so that a file cannot provoke collisions. */
static inline uint64_t hashed(const uint8_t *at, size_t length, const uint8_t *end, uint64_t key,
                              uint64_t salt) {
    uint64_t state = key ^ length, a, b;
    size_t left = length;
    while (left > 16) {
        memcpy(&a, at, 8);
        memcpy(&b, at + 8, 8);
        state = fold(a ^ salt, b ^ state) + key;
        at += 16;
        left -= 16;
    }
    words(at, left, end, &a, &b);
    return fold(fold(a ^ salt, b ^ state) ^ key, salt + length);
}

/* The hash of integers, as in profile.py. */
static inline uint64_t mixed(int64_t value) {
    uint64_t hash = (uint64_t)value * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93ull;
    return hash ^ (hash >> 32);
}

/* The hash of text for a sketch: the same in every process, because the estimate is reported. */
static inline uint64_t sketched(const uint8_t *at, size_t length, const uint8_t *end) {
    return hashed(at, length, end, 0xA0761D6478BD642Full, 0xE7037ED1A0B428DBull);
}

static inline int is_digit(uint8_t byte) { return (uint8_t)(byte - '0') < 10; }

/* cells.c: parse a cell; true only if the contract accepts its format. */
int integer_of(const uint8_t *at, size_t length, int64_t *value);
int scaled_of(const uint8_t *at, size_t length, int scale, int64_t *value);
int number_of(const uint8_t *at, size_t length, double *value);
int text_length(const uint8_t *at, size_t length, int64_t *characters);
int moment_of(const uint8_t *layout, int moment, const uint8_t *at, size_t length, int64_t *value);

/* cleaning.c: the cell without blanks at its ends; empty if it stands for no value. */
ref without_blanks(const column *c, const uint8_t *at, ref cell);
int is_one_of(const words_of *words, const uint8_t *at, size_t length);
/* Writes the cell as `rewrite` says and returns its length, which is not larger; -1 if not sure. */
int64_t rewritten(const column *c, const uint8_t *at, size_t length, uint8_t *to);

/* sets.c: the numbers of a key. */
void key_of_text(const secret *with, const uint8_t *at, size_t length, const uint8_t *end,
                 int64_t *first, int64_t *second);

#endif
