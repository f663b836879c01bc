/* Splits text into records by RFC 4180. Included only by scan.c, so that it is inlined. */
#ifndef LANDFALL_RECORDS_H
#define LANDFALL_RECORDS_H

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
    if (left < 64) { /* do not read past the block */
        memset(held, 0, sizeof held);
        memcpy(held, at, left);
        at = held;
    }
    uint64_t bits = 0;
#if defined(__SSE2__)
    const __m128i d = _mm_set1_epi8((char)w->delimiter), q = _mm_set1_epi8((char)w->quote);
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    for (int i = 0; i < 4; i++) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));
        __m128i hit = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(chunk, d), _mm_cmpeq_epi8(chunk, q)),
            _mm_or_si128(_mm_cmpeq_epi8(chunk, lf), _mm_cmpeq_epi8(chunk, cr)));
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)((at[i] == w->delimiter) | (at[i] == w->quote) | (at[i] == '\n') |
                            (at[i] == '\r'))
                 << i;
#endif
    return left < 64 ? bits & (~0ull >> (64 - left)) : bits;
}

static void go_to(walker *w, size_t at) {
    w->base = at & ~(size_t)63;
    w->mask = w->base < w->length ? marks(w, w->base) & (~0ull << (at & 63)) : 0;
}

/* The next mark; the block's length if there is none. */
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

enum form { WELL_FORMED, MALFORMED, BLANK, UNCLOSED };

/* Splits the record at `*at`, which is set to the start of the next one. At most `room` fields are
 * stored; all fields and line ends are counted. The walker must be at `*at`. */
static enum form cut(walker *w, size_t *at, field *fields, size_t room, size_t *count,
                     uint32_t *lines) {
    const uint8_t *data = w->data;
    const size_t length = w->length;
    size_t begin = *at, n = 0;
    enum form form = WELL_FORMED;
    for (;;) {
        field f = {begin, begin, 0};
        int quoted = begin < length && data[begin] == w->quote;
        size_t tail = begin;
        if (quoted) {
            size_t close;
            next(w); /* the opening quote */
            for (;;) {
                close = next(w);
                if (close >= length)
                    return UNCLOSED;
                *lines += data[close] == '\n';
                if (data[close] != w->quote)
                    continue;
                if (close + 1 >= length || data[close + 1] != w->quote)
                    break;
                f.doubled = 1;
                next(w);
            }
            f.start = begin + 1;
            f.end = close;
            tail = close + 1;
        }
        size_t stop, returned = length;
        uint8_t mark = '\n'; /* the end of the block counts as a line end */
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
                form = MALFORMED; /* a stray quote or a lone carriage return */
        }
        size_t last = returned < stop ? returned : stop;
        if (!quoted)
            f.end = last;
        else if (last != tail)
            form = MALFORMED; /* text after the closing quote */
        if (n < room)
            fields[n] = f;
        n++;
        if (mark == w->delimiter && stop < length) {
            begin = stop + 1;
            continue;
        }
        *lines += stop < length;
        *at = stop < length ? stop + 1 : length;
        *count = n;
        return n == 1 && !quoted && form == WELL_FORMED && f.end == f.start ? BLANK : form;
    }
}

#endif
