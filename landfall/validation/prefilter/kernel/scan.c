/* Scans a block: validates cells without Python if possible, else records questions. */
#include <stdlib.h>

#include "kernel.h"
#include "known.h"
#include "records.h"

/* Start of the first incomplete record of the block; the block's length if there is none. The end
 * of the block ends its last record. */
EXPORT uint64_t lf_whole(const uint8_t *data, uint64_t length, uint8_t delimiter, uint8_t quote) {
    walker w = {data, length, 0, 0, delimiter, quote};
    const uint8_t *quote_at;
    size_t at = 0, count;
    uint32_t lines = 0;
    /* Before the line of the next quote every record is one line. */
    while (at < length && (quote_at = memchr(data + at, quote, length - at)) != NULL) {
        size_t mark = (size_t)(quote_at - data), begin = mark;
        while (begin > at && data[begin - 1] != '\n')
            begin--;
        go_to(&w, begin);
        for (at = begin; at <= mark; begin = at)
            if (cut(&w, &at, NULL, 0, &count, &lines) == UNCLOSED)
                return begin;
    }
    return length;
}

/* Counts line ends, faster than repeated memchr. */
EXPORT uint64_t lf_newlines(const uint8_t *data, uint64_t length) {
    uint64_t count = 0;
    while (length) {
        uint64_t chunk = length < 4096 ? length : 4096;
        uint32_t chunk_count = 0;
        for (uint64_t i = 0; i < chunk; i++)
            chunk_count += data[i] == '\n';
        count += chunk_count;
        data += chunk;
        length -= chunk;
    }
    return count;
}

EXPORT void lf_scanner_free(scanner *s) {
    if (!s)
        return;
    for (size_t i = 0; s->columns && s->caches && i < s->n_columns; i++) {
        free(s->caches[i].slots);
        free(s->caches[i].taken);
        free(s->columns[i].integers);
        free(s->columns[i].texts);
        free(s->columns[i].hash);
    }
    for (size_t i = 0; s->stored && i < s->n_columns; i++)
        free_values(&s->stored[i]);
    free(s->stored);
    free(s->caches);
    free(s->questions);
    free(s->fields);
    free(s->empty);
    free(s->cells);
    free(s->values);
    free(s->part);
    free(s->scratch);
    free(s);
}

/* `columns` and `keys` belong to Python and must outlive the scanner. */
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
    s->caches = calloc(n_columns + 1, sizeof *s->caches);
    s->questions = calloc(WAITING + n_columns, sizeof *s->questions);
    s->fields = calloc(width + 1, sizeof *s->fields);
    s->empty = calloc(n_columns + 1, sizeof *s->empty);
    s->cells = calloc(n_columns + 1, sizeof *s->cells);
    s->values = calloc(n_columns + 1, sizeof *s->values);
    s->stored = calloc(n_columns + 1, sizeof *s->stored);
    if (!s->stored || !s->caches || !s->questions || !s->fields || !s->empty || !s->cells || !s->values) {
        lf_scanner_free(s);
        return NULL;
    }
    return s;
}

EXPORT const uint8_t *lf_scratch(const scanner *s) { return s->scratch; }

static int is_allowed(const column *c, int64_t value) {
    int64_t low = 0, high = c->allowed_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (c->allowed[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->allowed_count && c->allowed[low] == value;
}

/* Stores a text, if the column's are stored; 0 without memory. */
static inline int store_text(scanner *s, size_t index, size_t record, const uint8_t *at,
                             size_t length) {
    if (s->columns[index].store != STORE_TEXT ||
        put_text(&s->stored[index], record, at, length))
        return 1;
    s->failed = 1;
    return 0;
}

/* 1 valid, 0 a candidate, -1 a question. The value is stored if it is valid, and the text of a
 * question, whose answer may make the record a candidate. */
static inline int validate_cell(scanner *s, size_t index, ref cell, size_t record) {
    column *c = &s->columns[index];
    cache *m = &s->caches[index];
    const uint8_t *end, *at = bytes_of(s, cell, &end);
    if (c->kind == INTEGER) {
        int64_t value;
        if (!integer_of(at, cell.length, &value) || value < c->low || value > c->high ||
            (c->divisor && value % c->divisor) || (c->allowed_count && !is_allowed(c, value)))
            return 0;
        s->values[index] = value;
        if (c->store)
            put_integer(&s->stored[index], record, value);
        add_integer(s, c, m, value);
        return 1;
    }
    int reads = c->store && c->store != STORE_TEXT; /* also a cell that is known */
    entry e = {0, 0, 0};
    int known = 0, use_cache = m->looks < KNOWN || m->hits * 4 >= m->looks;
    if (use_cache) {
        e = entry_of(&s->with, at, cell.length, end);
        known = is_known(m, &s->with, &e);
        if (m->held >= KNOWN) {
            m->looks++;
            m->hits += (uint32_t)known;
        }
        if (known && !reads)
            return store_text(s, index, record, at, cell.length);
    }
    double number = 0;
    int64_t count = 0;
    if (c->kind == ASK) { /* what is stored is UTF-8, whatever the answer is */
        if (c->store && !text_length(at, cell.length, &count))
            return 0;
        return store_text(s, index, record, at, cell.length) ? -1 : 0;
    }
    if (c->kind == MOMENT) {
        if (!moment_of(c->layout, c->moment, at, cell.length, &count) || count < c->low ||
            count > c->high)
            return 0;
    } else if (c->kind == BOOLEAN) {
        count = is_one_of(&c->yes, at, cell.length);
        if (!count && !is_one_of(&c->no, at, cell.length))
            return 0;
    } else if (c->kind == NUMBER) {
        if (!number_of(at, cell.length, &number) || !(number >= c->least && number <= c->most))
            return 0;
        if (c->divisor &&
            (!scaled_of(at, cell.length, c->scale, &count) || count % c->divisor))
            return 0;
    } else {
        if (!text_length(at, cell.length, &count) || count < c->low || count > c->high)
            return 0;
    }
    if (reads && c->kind == NUMBER)
        put_double(&s->stored[index], record, number);
    else if (reads)
        put_integer(&s->stored[index], record, count);
    if (!known)
        add_text(s, c, m, cell, &e, number, count, use_cache);
    return store_text(s, index, record, at, cell.length);
}

/* The bytes of a field with unescaped quotes; the scratch buffer is large enough for all. */
static ref content(scanner *s, const field *f) {
    ref cell = {f->start, f->end - f->start};
    if (!f->doubled)
        return cell;
    cell.at = s->w.length + s->scratched;
    uint8_t *to = s->scratch + s->scratched, *begin = to;
    for (size_t i = f->start; i < f->end; i++) {
        *to++ = s->w.data[i];
        i += s->w.data[i] == s->w.quote; /* quotes inside are doubled */
    }
    cell.length = (uint64_t)(to - begin);
    s->scratched += cell.length;
    return cell;
}

/* The cell without blanks at its ends, if the contract says so; empty if it has no value. */
static inline ref valued(const scanner *s, const column *c, ref cell) {
    const uint8_t *end;
    if (cell.length == 0 || !(c->trim || c->missing.count))
        return cell;
    return without_blanks(c, bytes_of(s, cell, &end), cell);
}

/* Cleans a cell without blanks: what the checks and keys get; 0 if only Python can. */
static int clean(scanner *s, const column *c, ref *cell) {
    if (c->rewrite == NONE)
        return 1;
    const uint8_t *end, *at = bytes_of(s, *cell, &end);
    uint8_t *to = s->scratch + s->scratched;
    int64_t length = rewritten(c, at, cell->length, to);
    if (length < 0)
        return 0;
    if ((uint64_t)length == cell->length && memcmp(to, at, cell->length) == 0)
        return 1;
    *cell = (ref){s->w.length + s->scratched, (uint64_t)length};
    s->scratched += (uint64_t)length;
    return 1;
}

/* Writes the text of a composite key; returns its length, -1 if Python has to make it. */
static int64_t composite_key(scanner *s, const key *k) {
    size_t used = 0;
    for (int32_t i = 0; i < k->parts; i++) {
        int32_t index = k->columns[i];
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
        if (k->integers[i]) { /* as Python writes them: 007 is 7 */
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

/* Computes the numbers of a record's keys; 0 if Python has to do it. */
static int compute_keys(scanner *s, size_t record) {
    for (size_t i = 0; i < s->n_keys; i++) {
        const key *k = &s->keys[i];
        ref cell = s->cells[k->columns[0]];
        k->absent[record] = k->parts == 1 && cell.length == 0;
        if (k->absent[record])
            continue;
        if (k->whole_number) {
            if (s->columns[k->columns[0]].kind == INTEGER)
                k->first[record] = s->values[k->columns[0]];
            else {
                const uint8_t *end, *at = bytes_of(s, cell, &end);
                if (!integer_of(at, cell.length, &k->first[record]))
                    return 0;
            }
            continue;
        }
        const uint8_t *end, *at;
        uint64_t length;
        if (k->parts == 1) {
            int64_t characters;
            at = bytes_of(s, cell, &end);
            length = cell.length;
            if (!text_length(at, length, &characters))
                return 0;
        } else {
            int64_t used = composite_key(s, k);
            if (used < 0)
                return 0;
            at = s->part;
            length = (uint64_t)used;
            end = at + s->part_room;
        }
        key_of_text(&s->with, at, length, end, &k->first[record], &k->second[record]);
    }
    return 1;
}

/* Scans the cells of one record; 0 makes it a candidate. */
static int scan_record(scanner *s, size_t record) {
    size_t empty = 0;
    for (size_t i = 0; i < s->n_columns; i++) {
        column *c = &s->columns[i];
        ref cell = valued(s, c, content(s, &s->fields[c->position]));
        s->cells[i] = cell;
        if (cell.length == 0) {
            if (c->required)
                return 0;
            s->empty[empty++] = (int32_t)i;
            if (c->store && !put_null(&s->stored[i], record)) {
                s->failed = 1;
                return 0;
            }
            continue;
        }
        if (c->rewrite && !clean(s, c, &s->cells[i]))
            return 0;
        /* Python cleans what it is asked itself. */
        int status = validate_cell(s, i, c->kind == ASK ? cell : s->cells[i], record);
        if (status == 0)
            return 0;
        if (status < 0)
            s->questions[s->asked++] = (question){cell, (int64_t)record, (int64_t)i};
    }
    if (!compute_keys(s, record))
        return 0;
    for (size_t i = 0; i < empty; i++)
        s->columns[s->empty[i]].nulls++;
    return 1;
}

/* Begins a block of complete records. `room` is the size of the arrays; positions have 32 bits.
 * 0 if the block cannot be scanned. */
EXPORT int lf_begin(scanner *s, const uint8_t *data, uint64_t length, uint32_t *starts,
                    uint32_t *ends, uint32_t *lines, uint8_t *candidates, uint64_t room) {
    if (length >= UINT32_MAX)
        return 0;
    s->w.data = data;
    s->w.length = length;
    s->starts = starts;
    s->ends = ends;
    s->lines = lines;
    s->candidates = candidates;
    s->room = room;
    s->records = s->asked = s->at = s->scratched = 0;
    s->line = 0;
    s->failed = 0;
    /* All cells unquoted, one of them again, and all cells rewritten. */
    size_t needed = length && memchr(data, s->w.quote, length) ? 2 * length : 0;
    for (size_t i = 0; i < s->n_columns; i++)
        if (s->columns[i].rewrite) {
            needed += length + 1;
            break;
        }
    if (needed > s->scratch_room) {
        free(s->scratch);
        s->scratch = malloc(needed);
        s->scratch_room = s->scratch ? needed : 0;
        if (!s->scratch)
            return 0;
    }
    for (size_t i = 0; i < s->n_columns; i++)
        if (s->columns[i].store && !begin_values(&s->stored[i], s->columns[i].store, room))
            return 0;
    for (size_t i = 0; i < s->n_columns; i++)
        s->columns[i].nulls = s->columns[i].any = s->columns[i].fresh = s->columns[i].hashes = 0;
    go_to(&s->w, 0);
    return 1;
}

/* Continues: 1 with questions to be answered, 0 at the end, -1 on failure. */
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
        s->candidates[record] = form == MALFORMED || count != s->width || !scan_record(s, record);
    }
    return s->failed ? -1 : s->asked > 0;
}

EXPORT uint64_t lf_questions(const scanner *s, const question **questions) {
    *questions = s->questions;
    return s->asked;
}

EXPORT uint64_t lf_records(const scanner *s) { return s->records; }

/* Gives the stored values of the block away as one Arrow array of a structure, whose columns are
 * named by their positions; 0 without memory. */
EXPORT int lf_values(scanner *s, arrow_schema *schema, arrow_array *array) {
    values **columns = calloc(s->n_columns + 1, sizeof *columns);
    int32_t *positions = calloc(s->n_columns + 1, sizeof *positions);
    int done = columns && positions;
    size_t count = 0;
    for (size_t i = 0; done && i < s->n_columns; i++)
        if (s->columns[i].store) {
            positions[count] = s->columns[i].position;
            columns[count++] = &s->stored[i];
        }
    done = done && take_values(columns, positions, count, s->records, schema, array);
    free(columns);
    free(positions);
    return done;
}

/* Subtracts the nulls of a record that became a candidate. */
static void subtract_nulls(scanner *s, size_t record) {
    walker held = s->w;
    size_t at = s->starts[record], count;
    uint32_t lines = 0;
    size_t scratched = s->scratched;
    go_to(&s->w, at);
    cut(&s->w, &at, s->fields, s->width, &count, &lines);
    s->w = held;
    for (size_t i = 0; i < s->n_columns; i++) {
        column *c = &s->columns[i];
        ref cell = valued(s, c, content(s, &s->fields[c->position]));
        c->nulls -= cell.length == 0;
        s->scratched = scratched;
    }
}

/* Takes Python's answers, in the order of the questions: an invalid cell (`bad`) makes its record
 * a candidate, a valid one is added to the cache. */
EXPORT void lf_answer(scanner *s, const uint8_t *bad) {
    for (size_t i = 0; i < s->asked; i++) {
        const question *asked = &s->questions[i];
        if (!bad[i]) {
            cache *m = &s->caches[asked->column];
            const uint8_t *end, *at = bytes_of(s, asked->cell, &end);
            entry e = entry_of(&s->with, at, asked->cell.length, end);
            if (!is_known(m, &s->with, &e))
                add_to_cache(s, m, &e);
        } else if (!s->candidates[asked->record]) {
            s->candidates[asked->record] = 1;
            subtract_nulls(s, (size_t)asked->record);
        }
    }
    s->asked = 0;
}

/* The hash of the sources of this library. */
EXPORT const char *lf_built_from(void) { return BUILT_FROM; }
