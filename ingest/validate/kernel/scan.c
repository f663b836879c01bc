/* Cuts a block into records by RFC 4180 and judges what can be judged without Python. */
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "kernel.h"

/* ---- Where delimiters, quotes and line ends are: 64 bytes at a time, one bit each. ---- */

typedef struct {
    const uint8_t *data;
    size_t length, base;
    uint64_t mask;
    uint8_t delimiter, quote;
} walker;

static uint64_t marks(const walker *w, size_t base) {
    uint8_t held[64];
    const uint8_t *at = w->data + base;
    size_t left = w->length - base;
    if (left < 64) { /* never a byte behind the block */
        memset(held, 0, sizeof held);
        memcpy(held, at, left);
        at = held;
    }
    uint64_t found = 0;
#if defined(__SSE2__)
    const __m128i d = _mm_set1_epi8((char)w->delimiter), q = _mm_set1_epi8((char)w->quote);
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    for (int i = 0; i < 4; i++) {
        __m128i some = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));
        __m128i hit = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(some, d), _mm_cmpeq_epi8(some, q)),
            _mm_or_si128(_mm_cmpeq_epi8(some, lf), _mm_cmpeq_epi8(some, cr)));
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++)
        found |= (uint64_t)((at[i] == w->delimiter) | (at[i] == w->quote) | (at[i] == '\n') |
                            (at[i] == '\r'))
                 << i;
#endif
    return left < 64 ? found & (~0ull >> (64 - left)) : found;
}

static void go_to(walker *w, size_t at) {
    w->base = at & ~(size_t)63;
    w->mask = w->base < w->length ? marks(w, w->base) & (~0ull << (at & 63)) : 0;
}

/* The next mark; the block's length where there is none. */
static inline size_t next(walker *w) {
    while (w->mask == 0) {
        if (w->length - w->base <= 64)
            return w->length;
        w->base += 64;
        w->mask = marks(w, w->base);
    }
    size_t at = w->base + (size_t)__builtin_ctzll(w->mask);
    w->mask &= w->mask - 1;
    return at;
}

/* ---- Records ---- */

typedef struct {
    size_t start, end; /* the content, quotes not included */
    int doubled;       /* it has doubled quotes */
} field;

enum form { SOUND, ODD, BLANK, UNCLOSED };

/* The record that begins at `*at`, which becomes where the next one begins. No more than `room`
 * fields are kept, all are counted, and so are its line ends. `w` stands at `*at`. */
static enum form cut(walker *w, size_t *at, field *fields, size_t room, size_t *count,
                     uint32_t *lines) {
    const uint8_t *data = w->data;
    const size_t length = w->length;
    size_t begin = *at, n = 0;
    enum form form = SOUND;
    for (;;) {
        field one = {begin, begin, 0};
        int quoted = begin < length && data[begin] == w->quote;
        size_t tail = begin;
        if (quoted) {
            size_t close;
            next(w); /* the quote that opens */
            for (;;) {
                close = next(w);
                if (close >= length)
                    return UNCLOSED;
                *lines += data[close] == '\n';
                if (data[close] != w->quote)
                    continue;
                if (close + 1 >= length || data[close + 1] != w->quote)
                    break;
                one.doubled = 1;
                next(w);
            }
            one.start = begin + 1;
            one.end = close;
            tail = close + 1;
        }
        size_t stop, returned = length;
        uint8_t mark = '\n'; /* what the end of the block stands for */
        for (;;) {
            stop = next(w);
            if (stop >= length) {
                mark = '\n';
                break;
            }
            mark = data[stop];
            if (mark == w->delimiter || mark == '\n')
                break;
            if (mark == '\r' && (stop + 1 == length || data[stop + 1] == '\n'))
                returned = stop; /* of the line end */
            else
                form = ODD; /* a quote out of place, a carriage return alone */
        }
        size_t last = returned < stop ? returned : stop;
        if (!quoted)
            one.end = last;
        else if (last != tail)
            form = ODD; /* text behind the quote that closes */
        if (n < room)
            fields[n] = one;
        n++;
        if (mark == w->delimiter && stop < length) {
            begin = stop + 1;
            continue;
        }
        *lines += stop < length;
        *at = stop < length ? stop + 1 : length;
        *count = n;
        return n == 1 && !quoted && form == SOUND && one.end == one.start ? BLANK : form;
    }
}

/* Where the first record begins that the block does not hold whole; its length if there is none.
 * A block that ends without a line end ends its last record all the same. */
EXPORT uint64_t lf_whole(const uint8_t *data, uint64_t length, uint8_t delimiter, uint8_t quote) {
    walker w = {data, length, 0, 0, delimiter, quote};
    const uint8_t *found;
    size_t at = 0, count;
    uint32_t lines = 0;
    /* Up to the line of the next quote every record is a line. */
    while (at < length && (found = memchr(data + at, quote, length - at)) != NULL) {
        size_t mark = (size_t)(found - data), begin = mark;
        while (begin > at && data[begin - 1] != '\n')
            begin--;
        go_to(&w, begin);
        for (at = begin; at <= mark; begin = at)
            if (cut(&w, &at, NULL, 0, &count, &lines) == UNCLOSED)
                return begin;
    }
    return length;
}

/* Line ends, faster than by looking for one after the other. */
EXPORT uint64_t lf_newlines(const uint8_t *data, uint64_t length) {
    uint64_t count = 0;
    while (length) {
        uint64_t some = length < 4096 ? length : 4096;
        uint32_t found = 0;
        for (uint64_t i = 0; i < some; i++)
            found += data[i] == '\n';
        count += found;
        data += some;
        length -= some;
    }
    return count;
}

/* ---- What is known of each column ---- */

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

EXPORT void lf_scanner_free(scanner *s) {
    if (!s)
        return;
    for (size_t i = 0; s->columns && s->memories && i < s->n_columns; i++) {
        free(s->memories[i].slots);
        free(s->memories[i].taken);
        free(s->columns[i].integers);
        free(s->columns[i].texts);
        free(s->columns[i].hash);
    }
    free(s->memories);
    free(s->questions);
    free(s->fields);
    free(s->empty);
    free(s->cells);
    free(s->values);
    free(s->part);
    free(s->scratch);
    free(s);
}

/* `columns` and `keys` stay Python's and must outlive the scanner. */
EXPORT scanner *lf_scanner_new(const secret *with, column *columns, uint64_t n_columns, key *keys,
                        uint64_t n_keys, uint64_t width, uint8_t delimiter, uint8_t quote) {
    scanner *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->with = *with;
    s->columns = columns;
    s->n_columns = n_columns;
    s->keys = keys;
    s->n_keys = n_keys;
    s->width = width;
    s->w.delimiter = delimiter;
    s->w.quote = quote;
    s->memories = calloc(n_columns + 1, sizeof *s->memories);
    s->questions = calloc(WAITING + n_columns, sizeof *s->questions);
    s->fields = calloc(width + 1, sizeof *s->fields);
    s->empty = calloc(n_columns + 1, sizeof *s->empty);
    s->cells = calloc(n_columns + 1, sizeof *s->cells);
    s->values = calloc(n_columns + 1, sizeof *s->values);
    if (!s->memories || !s->questions || !s->fields || !s->empty || !s->cells || !s->values) {
        lf_scanner_free(s);
        return NULL;
    }
    return s;
}

static inline const uint8_t *bytes_of(const scanner *s, ref cell, const uint8_t **end) {
    if (cell.at < s->w.length) {
        *end = s->w.data + s->w.length;
        return s->w.data + cell.at;
    }
    *end = s->scratch + s->scratched;
    return s->scratch + (cell.at - s->w.length);
}

EXPORT const uint8_t *lf_scratch(const scanner *s) { return s->scratch; }

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

/* A sound value of a text column, or of a NUMBER, that is new as far as is known. */
static void meet_text(scanner *s, column *c, memory *m, ref cell, const entry *one, double number,
                      int lookable) {
    if (c->kind == NUMBER) {
        c->least_found = c->any && c->least_found <= number ? c->least_found : number;
        c->most_found = c->any && c->most_found >= number ? c->most_found : number;
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

/* 1 sound, 0 a suspect, -1 a question. */
static inline int judge(scanner *s, size_t index, ref cell) {
    column *c = &s->columns[index];
    memory *m = &s->memories[index];
    const uint8_t *end, *at = bytes_of(s, cell, &end);
    if (c->kind == INTEGER) {
        int64_t value;
        if (!integer_of(at, cell.length, &value) || value < c->low || value > c->high)
            return 0;
        s->values[index] = value;
        meet_integer(s, c, m, value);
        return 1;
    }
    entry one = {0, 0, 0};
    int lookable = m->looks < KNOWN || m->hits * 4 >= m->looks;
    if (lookable) {
        one = entry_of(&s->with, at, cell.length, end);
        int known = is_known(m, &s->with, &one);
        if (m->held >= KNOWN) {
            m->looks++;
            m->hits += (uint32_t)known;
        }
        if (known)
            return 1;
    }
    if (c->kind == ASK)
        return -1;
    double number = 0;
    if (c->kind == NUMBER) {
        if (!number_of(at, cell.length, &number) || !(number >= c->least && number <= c->most))
            return 0;
    } else {
        int64_t characters;
        if (!text_length(at, cell.length, &characters) || characters < c->low ||
            characters > c->high)
            return 0;
    }
    meet_text(s, c, m, cell, &one, number, lookable);
    return 1;
}

/* The bytes of a field, doubled quotes undone; the scratch is as large as the block. */
static ref content(scanner *s, const field *one) {
    ref found = {one->start, one->end - one->start};
    if (!one->doubled)
        return found;
    found.at = s->w.length + s->scratched;
    uint8_t *to = s->scratch + s->scratched, *begin = to;
    for (size_t i = one->start; i < one->end; i++) {
        *to++ = s->w.data[i];
        i += s->w.data[i] == s->w.quote; /* they come in pairs in here */
    }
    found.length = (uint64_t)(to - begin);
    s->scratched += found.length;
    return found;
}

/* Bytes of a key over several columns; -1 where the key is not plain. */
static int64_t joined(scanner *s, const key *one) {
    size_t used = 0;
    for (int32_t i = 0; i < one->parts; i++) {
        int32_t index = one->columns[i];
        ref cell = s->cells[index];
        if (used + cell.length + 48 > s->part_room) {
            size_t room = 2 * (used + cell.length + 48);
            uint8_t *held = realloc(s->part, room);
            if (!held) {
                s->failed = 1;
                return -1;
            }
            s->part = held;
            s->part_room = room;
        }
        if (cell.length == 0) {
            s->part[used++] = '-';
            continue;
        }
        const uint8_t *end, *at = bytes_of(s, cell, &end);
        uint8_t written[24];
        size_t length = cell.length;
        int64_t characters;
        if (one->integers[i]) { /* as Python writes them: 007 is 7 */
            int64_t value;
            if (!integer_of(at, length, &value))
                return -1;
            uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
            size_t from = sizeof written;
            do
                written[--from] = (uint8_t)('0' + rest % 10);
            while (rest /= 10);
            if (value < 0)
                written[--from] = '-';
            at = written + from;
            length = sizeof written - from;
            characters = (int64_t)length;
        } else if (!text_length(at, length, &characters))
            return -1;
        uint8_t digits[20];
        size_t from = sizeof digits;
        uint64_t rest = (uint64_t)characters;
        do
            digits[--from] = (uint8_t)('0' + rest % 10);
        while (rest /= 10);
        memcpy(s->part + used, digits + from, sizeof digits - from);
        used += sizeof digits - from;
        s->part[used++] = ':';
        memcpy(s->part + used, at, length);
        used += length;
    }
    return (int64_t)used;
}

/* The numbers of a record's keys; 0 if Python has to say them. */
static int note_keys(scanner *s, size_t record) {
    for (size_t i = 0; i < s->n_keys; i++) {
        const key *one = &s->keys[i];
        ref cell = s->cells[one->columns[0]];
        one->absent[record] = one->parts == 1 && cell.length == 0;
        if (one->absent[record])
            continue;
        if (one->whole_number) {
            if (s->columns[one->columns[0]].kind == INTEGER)
                one->first[record] = s->values[one->columns[0]];
            else {
                const uint8_t *end, *at = bytes_of(s, cell, &end);
                if (!integer_of(at, cell.length, &one->first[record]))
                    return 0;
            }
            continue;
        }
        const uint8_t *end, *at;
        uint64_t length;
        if (one->parts == 1) {
            int64_t characters;
            at = bytes_of(s, cell, &end);
            length = cell.length;
            if (!text_length(at, length, &characters))
                return 0;
        } else {
            int64_t used = joined(s, one);
            if (used < 0)
                return 0;
            at = s->part;
            length = (uint64_t)used;
            end = at + s->part_room;
        }
        key_of_text(&s->with, at, length, end, &one->first[record], &one->second[record]);
    }
    return 1;
}

/* Looks at the cells of one record; 0 makes it a suspect. */
static int look(scanner *s, size_t record) {
    size_t empty = 0;
    for (size_t i = 0; i < s->n_columns; i++) {
        column *c = &s->columns[i];
        ref cell = content(s, &s->fields[c->position]);
        s->cells[i] = cell;
        if (cell.length == 0) {
            if (c->required)
                return 0;
            s->empty[empty++] = (int32_t)i;
            continue;
        }
        int found = judge(s, i, cell);
        if (found == 0)
            return 0;
        if (found < 0)
            s->questions[s->asked++] = (question){cell, (int64_t)record, (int64_t)i};
    }
    if (!note_keys(s, record))
        return 0;
    for (size_t i = 0; i < empty; i++)
        s->columns[s->empty[i]].nulls++;
    return 1;
}

/* Begins a block of whole records. `room` records fit the arrays; positions have 32 bits. 0 if it
 * cannot be done. */
EXPORT int lf_begin(scanner *s, const uint8_t *data, uint64_t length, uint32_t *starts, uint32_t *ends,
             uint32_t *lines, uint8_t *suspects, uint64_t room) {
    if (length >= UINT32_MAX)
        return 0;
    s->w.data = data;
    s->w.length = length;
    s->starts = starts;
    s->ends = ends;
    s->lines = lines;
    s->suspects = suspects;
    s->room = room;
    s->records = s->asked = s->at = s->scratched = 0;
    s->line = 0;
    s->failed = 0;
    if (length && memchr(data, s->w.quote, length) && length > s->scratch_room) {
        free(s->scratch);
        s->scratch = malloc(length);
        s->scratch_room = s->scratch ? length : 0;
        if (!s->scratch)
            return 0;
    }
    for (size_t i = 0; i < s->n_columns; i++)
        s->columns[i].nulls = s->columns[i].any = s->columns[i].fresh = s->columns[i].hashes = 0;
    go_to(&s->w, 0);
    return 1;
}

/* Goes on: 1 with questions to be settled, 0 at the end, -1 if it cannot go on. */
EXPORT int lf_scan(scanner *s) {
    while (s->at < s->w.length) {
        if (s->asked >= WAITING)
            return 1;
        size_t begin = s->at, count;
        uint32_t line = s->line;
        enum form form = cut(&s->w, &s->at, s->fields, s->width, &count, &s->line);
        if (form == UNCLOSED || s->failed)
            return -1;
        if (form == BLANK)
            continue;
        if (s->records >= s->room)
            return -1;
        size_t record = s->records++;
        s->starts[record] = (uint32_t)begin;
        s->ends[record] = (uint32_t)s->at;
        s->lines[record] = line;
        s->suspects[record] = form == ODD || count != s->width || !look(s, record);
    }
    return s->failed ? -1 : s->asked > 0;
}

EXPORT uint64_t lf_questions(const scanner *s, const question **questions) {
    *questions = s->questions;
    return s->asked;
}

EXPORT uint64_t lf_records(const scanner *s) { return s->records; }

/* Takes back what was counted of a record that turned out to be a suspect. */
static void take_back(scanner *s, size_t record) {
    walker held = s->w;
    size_t at = s->starts[record], count;
    uint32_t lines = 0;
    go_to(&s->w, at);
    cut(&s->w, &at, s->fields, s->width, &count, &lines);
    s->w = held;
    for (size_t i = 0; i < s->n_columns; i++) {
        const field *one = &s->fields[s->columns[i].position];
        s->columns[i].nulls -= one->start == one->end;
    }
}

/* Python's answers, in the order of the questions: a cell that is `bad` makes its record a
 * suspect, any other is known from now on. */
EXPORT void lf_settle(scanner *s, const uint8_t *bad) {
    for (size_t i = 0; i < s->asked; i++) {
        const question *asked = &s->questions[i];
        if (!bad[i]) {
            memory *m = &s->memories[asked->column];
            const uint8_t *end, *at = bytes_of(s, asked->cell, &end);
            entry one = entry_of(&s->with, at, asked->cell.length, end);
            if (!is_known(m, &s->with, &one))
                remember(s, m, &one);
        } else if (!s->suspects[asked->record]) {
            s->suspects[asked->record] = 1;
            take_back(s, (size_t)asked->record);
        }
    }
    s->asked = 0;
}

/* The hash of the sources that this was built from. */
EXPORT const char *lf_built_from(void) { return BUILT_FROM; }
