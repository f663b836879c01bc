/* Cleans a cell as the contract says, before it is checked: see contract/cleaning.py. */
#include "kernel.h"

/* Length of the white character that three bytes or less begin with; 0 if it is none. */
static size_t white_character(const uint8_t *at, size_t length) {
    uint8_t first = at[0];
    if (first < 0x80)
        return first == ' ' || (first >= '\t' && first <= '\r');
    if (length < 2)
        return 0;
    if (first == 0xC2)
        return at[1] == 0x85 || at[1] == 0xA0 ? 2 : 0;
    if (length < 3 || first < 0xE1)
        return 0;
    switch ((uint32_t)first << 16 | (uint32_t)at[1] << 8 | at[2]) {
    case 0xE19A80: /* U+1680 */
    case 0xE280A8: /* U+2028 */
    case 0xE280A9:
    case 0xE280AF: /* U+202F */
    case 0xE2819F: /* U+205F */
    case 0xE38080: /* U+3000 */
    case 0xEFBBBF: /* U+FEFF */
        return 3;
    }
    return first == 0xE2 && at[1] == 0x80 && at[2] >= 0x80 && at[2] <= 0x8B ? 3 : 0; /* U+200B */
}

/* Length of the white character that the bytes end with; 0 if it is none. No character ends with
 * another one, so it does not matter what is before it. */
static size_t last_white_character(const uint8_t *end, size_t length) {
    for (size_t size = 1; size <= 3 && size <= length; size++)
        if (white_character(end - size, size) == size)
            return size;
    return 0;
}

static ref trimmed(const uint8_t *at, ref cell) {
    size_t size;
    while (cell.length && (size = white_character(at, cell.length)) != 0) {
        at += size;
        cell.at += size;
        cell.length -= size;
    }
    while (cell.length && (size = last_white_character(at + cell.length, cell.length)) != 0)
        cell.length -= size;
    return cell;
}

int is_one_of(const words_of *words, const uint8_t *at, size_t length) {
    if (!(words->lengths >> (length < 63 ? length : 63) & 1))
        return 0;
    const uint8_t *text = words->texts;
    for (int64_t i = 0; i < words->count; text += words->sizes[i++])
        if (words->sizes[i] == length && memcmp(text, at, length) == 0)
            return 1;
    return 0;
}

ref without_blanks(const column *c, const uint8_t *at, ref cell) {
    ref clean = c->trim ? trimmed(at, cell) : cell;
    if (clean.length && is_one_of(&c->missing, at + (clean.at - cell.at), clean.length))
        clean.length = 0;
    return clean;
}

static int utf8_of(uint32_t code, uint8_t *to) {
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (uint8_t)(0xC0 | code >> 6);
        to[1] = (uint8_t)(0x80 | (code & 0x3F));
        return 2;
    }
    to[0] = (uint8_t)(0xE0 | code >> 12);
    to[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    to[2] = (uint8_t)(0x80 | (code & 0x3F));
    return 3;
}

/* Above this there are no letters with a case. */
#define LAST_CASED 0x1EFFF

static int64_t recased(const uint16_t *cases, const uint8_t *at, size_t length, uint8_t *to) {
    const uint8_t *begin = to, *end = at + length;
    while (at < end) {
        uint32_t code = *at;
        size_t size = code < 0x80 ? 1 : code < 0xE0 ? 2 : code < 0xF0 ? 3 : 4;
        int64_t characters; /* checks that the bytes are one character */
        if ((size_t)(end - at) < size || !text_length(at, size, &characters))
            return -1;
        if (size == 2)
            code = (code & 0x1F) << 6 | (at[1] & 0x3Fu);
        else if (size == 3)
            code = (code & 0x0F) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
        else if (size == 4)
            code = (code & 0x07) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 |
                   (at[3] & 0x3Fu);
        if (size == 4) {
            if (code <= LAST_CASED)
                return -1;
            memcpy(to, at, 4);
            to += 4;
        } else if (cases[code] == 0)
            return -1; /* of another length, or dependent on what is around it */
        else
            to += utf8_of(cases[code], to);
        at += size;
    }
    return to - begin;
}

static size_t separator_at(const uint8_t *separator, const uint8_t *at, const uint8_t *end) {
    size_t size = strlen((const char *)separator);
    return size && (size_t)(end - at) >= size && memcmp(at, separator, size) == 0 ? size : 0;
}

/* -?WHOLE(POINT[0-9]+)?([eE][+-]?[0-9]+)? where WHOLE is digits, or groups of three. */
static int64_t plain_number(const column *c, const uint8_t *at, size_t length, uint8_t *to) {
    const uint8_t *begin = to, *end = at + length;
    size_t size;
    int digits = 0;
    if (at < end && *at == '-')
        *to++ = *at++;
    for (; at < end && is_digit(*at); digits++)
        *to++ = *at++;
    if (digits == 0)
        return -1;
    while (digits <= 3 && (size = separator_at(c->thousands, at, end)) != 0) {
        at += size;
        for (int i = 0; i < 3; i++) {
            if (at == end || !is_digit(*at))
                return -1;
            *to++ = *at++;
        }
        if (at < end && is_digit(*at))
            return -1;
    }
    if ((size = separator_at(c->decimal, at, end)) != 0) {
        at += size;
        *to++ = '.';
        if (at == end || !is_digit(*at))
            return -1;
        while (at < end && is_digit(*at))
            *to++ = *at++;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        *to++ = *at++;
        if (at < end && (*at == '+' || *at == '-'))
            *to++ = *at++;
        if (at == end || !is_digit(*at))
            return -1;
        while (at < end && is_digit(*at))
            *to++ = *at++;
    }
    return at == end ? to - begin : -1;
}

int64_t rewritten(const column *c, const uint8_t *at, size_t length, uint8_t *to) {
    if (c->rewrite == RECASE)
        return recased(c->cases, at, length, to);
    return plain_number(c, at, length, to);
}
