/* Goes through a block: judges what can be judged without Python, asks about the rest. */
#include <stdlib.h>

#include "kernel.h"
#include "known.h"
#include "records.h"

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

EXPORT const uint8_t *lf_scratch(const scanner *s) { return s->scratch; }

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
    int64_t count = 0;
    if (c->kind == MOMENT) {
        int found = moment_of(c->layout, c->moment, at, cell.length, &count);
        if (found < 1)
            return found;
        if (count < c->low || count > c->high)
            return 0;
    } else if (c->kind == NUMBER) {
        if (!number_of(at, cell.length, &number) || !(number >= c->least && number <= c->most))
            return 0;
    } else {
        if (!text_length(at, cell.length, &count) || count < c->low || count > c->high)
            return 0;
    }
    meet_text(s, c, m, cell, &one, number, count, lookable);
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
