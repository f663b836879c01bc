/* Parses the bytes of one cell. A function returns 0 if it is not sure. */
#define _GNU_SOURCE /* strtod_l */

#include <float.h>
#include <locale.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include "kernel.h"

/* -?[0-9]+ that fits 64 bits. Longer ones, leading zeros included, are left to Python. */
int integer_of(const uint8_t *at, size_t length, int64_t *value) {
    int negative = length > 0 && *at == '-';
    at += negative;
    length -= (size_t)negative;
    if (length == 0 || length > 19)
        return 0;
    uint64_t magnitude = 0; /* nineteen digits fit 64 bits without a sign */
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(at[i]))
            return 0;
        magnitude = magnitude * 10 + (uint64_t)(at[i] - '0');
    }
    if (magnitude > (uint64_t)INT64_MAX + (uint64_t)negative)
        return 0;
    *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return 1;
}

/* -?[0-9]+(\.[0-9]+)? with at most `scale` digits after the point, times ten to its power. */
int scaled_of(const uint8_t *at, size_t length, int scale, int64_t *value) {
    size_t i = length > 0 && at[0] == '-', begin = i;
    int negative = (int)i;
    int64_t magnitude = 0;
    for (; i < length && is_digit(at[i]); i++) {
        if (magnitude >= INT64_MAX / 10 - 1)
            return 0;
        magnitude = magnitude * 10 + (at[i] - '0');
    }
    if (i == begin)
        return 0;
    if (i < length && at[i] == '.') {
        begin = ++i;
        for (; i < length && is_digit(at[i]); i++, scale--) {
            if (scale == 0 || magnitude >= INT64_MAX / 10 - 1)
                return 0;
            magnitude = magnitude * 10 + (at[i] - '0');
        }
        if (i == begin)
            return 0;
    }
    if (i != length)
        return 0;
    for (; scale > 0; scale--) {
        if (magnitude >= INT64_MAX / 10 - 1)
            return 0;
        magnitude *= 10;
    }
    *value = negative ? -magnitude : magnitude;
    return 1;
}

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
#define EXACT_DOUBLES 1
#else
#define EXACT_DOUBLES 0 /* intermediate results may be wider than a double */
#endif

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static int parse_with_strtod(const uint8_t *at, size_t length, double *value) {
    static locale_t plain; /* do not use the decimal comma of a locale */
    char text[64];
    if (length >= sizeof text)
        return 0;
    locale_t with = __atomic_load_n(&plain, __ATOMIC_ACQUIRE);
    if (with == (locale_t)0) {
        with = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        if (with == (locale_t)0)
            return 0;
        locale_t none = (locale_t)0;
        if (!__atomic_compare_exchange_n(&plain, &none, with, 0, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE)) {
            freelocale(with); /* another thread was first */
            with = none;
        }
    }
    memcpy(text, at, length);
    text[length] = 0;
    char *end;
    *value = strtod_l(text, &end, with);
    return end == text + length;
}

/* -?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?, rounded as Python rounds. */
int number_of(const uint8_t *at, size_t length, double *value) {
    size_t i = 0, digits = 0;
    int negative = length > 0 && at[0] == '-';
    uint64_t mantissa = 0;
    int64_t tens = 0;
    i += (size_t)negative;
    size_t begin = i;
    for (; i < length && is_digit(at[i]); i++)
        if (mantissa || at[i] != '0') {
            digits++;
            mantissa = digits <= 19 ? mantissa * 10 + (uint64_t)(at[i] - '0') : mantissa;
        }
    if (i == begin)
        return 0;
    if (i < length && at[i] == '.') {
        begin = ++i;
        for (; i < length && is_digit(at[i]); i++) {
            tens--;
            if (mantissa || at[i] != '0') {
                digits++;
                mantissa = digits <= 19 ? mantissa * 10 + (uint64_t)(at[i] - '0') : mantissa;
            }
        }
        if (i == begin)
            return 0;
    }
    if (i < length && (at[i] == 'e' || at[i] == 'E')) {
        i++;
        int below = i < length && at[i] == '-';
        i += i < length && (at[i] == '-' || at[i] == '+');
        begin = i;
        int64_t exponent = 0;
        for (; i < length && is_digit(at[i]); i++)
            exponent = exponent > 100000 ? exponent : exponent * 10 + (at[i] - '0');
        if (i == begin)
            return 0;
        tens += below ? -exponent : exponent;
    }
    if (i != length)
        return 0;
    /* The digits and the power of ten are exact, so the result is rounded only once. */
    if (EXACT_DOUBLES && digits <= 19 && mantissa <= (1ull << 53) && tens >= -22 && tens <= 22) {
        double whole = (double)mantissa;
        whole = tens < 0 ? whole / TENS[-tens] : whole * TENS[tens];
        *value = negative ? -whole : whole;
        return 1;
    }
    return parse_with_strtod(at, length, value);
}

/* Counts characters of UTF-8 without NUL: no overlong forms, no surrogates, none too large. */
int text_length(const uint8_t *at, size_t length, int64_t *characters) {
    int64_t count = 0;
    size_t i = 0;
    while (i < length) {
        uint8_t first = at[i];
        size_t more;
        uint8_t low = 0x80, high = 0xBF; /* bounds of the second byte */
        count++;
        if (first < 0x80) {
            if (first == 0)
                return 0;
            i++;
            continue;
        }
        if (first >= 0xC2 && first <= 0xDF)
            more = 1;
        else if (first >= 0xE0 && first <= 0xEF) {
            more = 2;
            low = first == 0xE0 ? 0xA0 : low;
            high = first == 0xED ? 0x9F : high;
        } else if (first >= 0xF0 && first <= 0xF4) {
            more = 3;
            low = first == 0xF0 ? 0x90 : low;
            high = first == 0xF4 ? 0x8F : high;
        } else
            return 0;
        if (length - i <= more || at[i + 1] < low || at[i + 1] > high)
            return 0;
        for (size_t j = 2; j <= more; j++)
            if ((at[i + j] & 0xC0) != 0x80)
                return 0;
        i += more + 1;
    }
    *characters = count;
    return 1;
}

/* Days since 1970-01-01; 0 if the date does not exist. */
static int day_of(int64_t year, int64_t month, int64_t day, int64_t *days) {
    static const uint8_t LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 ||
        day > LENGTHS[month - 1] + (month == 2 && leap))
        return 0;
    /* Years from March on end with the leap day. */
    int64_t from = month > 2 ? year : year - 1, months = (month + 9) % 12;
    *days = 365 * from + from / 4 - from / 100 + from / 400 + (153 * months + 2) / 5 + day - 719469;
    return 1;
}

static int digits_of(const uint8_t **at, const uint8_t *end, int count, int64_t *value) {
    if (end - *at < count)
        return 0;
    int64_t number = 0;
    for (int i = 0; i < count; i++) {
        if (!is_digit((*at)[i]))
            return 0;
        number = number * 10 + ((*at)[i] - '0');
    }
    *at += count;
    *value = number;
    return 1;
}

/* +02:00 or Z, for a `form` other than X also +0200 and +02, as seconds; 0 if it is none. */
static int offset_of(uint8_t form, const uint8_t **at, const uint8_t *end, int64_t *seconds) {
    int64_t hours, minutes = 0;
    *seconds = 0;
    if (*at < end && **at == 'Z') {
        ++*at;
        return 1;
    }
    if (*at == end || (**at != '+' && **at != '-'))
        return 0;
    int west = *(*at)++ == '-';
    if (!digits_of(at, end, 2, &hours))
        return 0;
    int colon = *at < end && **at == ':';
    *at += colon;
    if (form == 'X' && !colon)
        return 0;
    if ((colon || *at < end) && !digits_of(at, end, 2, &minutes))
        return 0;
    *seconds = (west ? -60 : 60) * (60 * hours + minutes);
    return hours < 24 && minutes < 60;
}

/* Parses a date, a timestamp or a time by a layout: y M d H m s are fields of fixed width, f and a
 * digit is a fraction of that many digits, F an optional point and one to nine digits, T a T or a
 * blank, X and Z an offset, z an optional one at the end, ' and a byte is that byte. Returns 1 and
 * the value; 0 if it is invalid or not sure. */
int moment_of(const uint8_t *layout, int moment, const uint8_t *at, size_t length,
              int64_t *value) {
    const uint8_t *end = at + length;
    int64_t year = 1, month = 1, day = 1, hour = 0, minute = 0, second = 0, micros = 0, days,
            offset = 0;
    for (; *layout; layout++) {
        int64_t *field = NULL;
        int64_t digit;
        int most = 9;
        switch (*layout) {
        case 'y': field = &year; break;
        case 'M': field = &month; break;
        case 'd': field = &day; break;
        case 'H': field = &hour; break;
        case 'm': field = &minute; break;
        case 's': field = &second; break;
        case 'F':
            if (at == end || *at != '.')
                continue;
            at++;
            __attribute__((fallthrough));
        case 'f': {
            int least = 1;
            if (*layout == 'f')
                most = least = *++layout - '0';
            int64_t scale = 100000;
            int count = 0;
            for (; count < most && digits_of(&at, end, 1, &digit); count++, scale /= 10) {
                if (scale == 0 && digit != 0) /* finer than a microsecond */
                    return 0;
                micros += digit * scale;
            }
            if (count < least)
                return 0;
            continue;
        }
        case 'T':
            if (at == end || (*at != 'T' && *at != ' '))
                return 0;
            at++;
            continue;
        case 'z':
            if (at == end)
                continue;
            __attribute__((fallthrough));
        case 'X':
        case 'Z':
            if (!offset_of(*layout, &at, end, &offset))
                return 0;
            continue;
        default: /* a literal byte */
            if (at == end || *at != *++layout)
                return 0;
            at++;
            continue;
        }
        if (!digits_of(&at, end, field == &year ? 4 : 2, field))
            return 0;
    }
    if (at != end)
        return 0;
    if (moment == CLOCK)
        days = 0;
    else if (!day_of(year, month, day, &days))
        return 0;
    if (moment == DAY) {
        *value = days;
        return 1;
    }
    if (hour > 23 || minute > 59 || second > 59)
        return 0;
    *value = ((days * 24 + hour) * 60 + minute) * 60 + second;
    if (moment == INSTANT)
        *value -= offset;
    *value = *value * 1000000 + micros;
    return 1;
}
