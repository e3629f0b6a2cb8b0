//! Times as Go reads and writes them in JSON: RFC 3339 with as many digits as are needed.

/// The time that Go writes for one that was never set.
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

/// Go keeps nanoseconds, and drops what is finer.
const DIGITS: usize = 9;

/// A time the way Go writes it again after reading it: no trailing zeros in the fraction, `Z` for
/// an offset of nothing.
///
/// # Errors
/// When it is no time of RFC 3339.
pub(crate) fn rewrite(text: &str) -> Result<String, String> {
    parse(text).ok_or_else(|| format!("{text:?} is not a time of RFC 3339"))
}

fn parse(text: &str) -> Option<String> {
    let (date_time, rest) = text.split_at_checked("2006-01-02T15:04:05".len())?;
    if !is_date_time(date_time.as_bytes()) {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        None => ("", rest),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            rest.split_at(digits)
        }
    };
    let fraction = fraction[..fraction.len().min(DIGITS)].trim_end_matches('0');
    let mut out = date_time.to_owned();
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out.push_str(if is_utc(zone)? { "Z" } else { zone });
    Some(out)
}

fn is_date_time(text: &[u8]) -> bool {
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if punctuation.into_iter().any(|(at, mark)| text[at] != mark) {
        return false;
    }
    let number = |at: usize, digits: usize| number(&text[at..at + digits]);
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 2), number(8, 2)) else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 2), number(14, 2), number(17, 2)) else {
        return false;
    };
    (1..=days_of(year, month)).contains(&day) && hour < 24 && minute < 60 && second < 60
}

/// Whether an offset is one of nothing; `None` when it is no offset.
fn is_utc(zone: &str) -> Option<bool> {
    if zone == "Z" {
        return Some(true);
    }
    let bytes = zone.as_bytes();
    if bytes.len() != "+00:00".len() || !matches!(bytes[0], b'+' | b'-') || bytes[3] != b':' {
        return None;
    }
    let (hours, minutes) = (number(&bytes[1..3])?, number(&bytes[4..6])?);
    (hours < 24 && minutes < 60).then_some(hours == 0 && minutes == 0)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

/// None for a month that there is not.
fn days_of(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (text, rewritten) in [
            ("2014-10-01T20:46:13Z", "2014-10-01T20:46:13Z"),
            ("2014-10-01T20:46:13.510900000Z", "2014-10-01T20:46:13.5109Z"),
            ("2014-10-01T20:46:13.000Z", "2014-10-01T20:46:13Z"),
            ("2014-10-01T20:46:13.1234567899Z", "2014-10-01T20:46:13.123456789Z"),
            ("2014-10-01T20:46:13,25Z", "2014-10-01T20:46:13.25Z"),
            ("2013-06-13T14:03:50.821769-07:00", "2013-06-13T14:03:50.821769-07:00"),
            ("2013-06-13T14:03:50+00:00", "2013-06-13T14:03:50Z"),
            ("2013-06-13T14:03:50-00:00", "2013-06-13T14:03:50Z"),
            ("2013-06-13T14:03:50+05:30", "2013-06-13T14:03:50+05:30"),
            ("2012-02-29T00:00:00Z", "2012-02-29T00:00:00Z"),
            ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
            (ZERO, ZERO),
        ] {
            assert_eq!(rewrite(text).as_deref(), Ok(rewritten));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2014-10-01",
            "2014-10-01 20:46:13Z",
            "2014-10-01T20:46:13",
            "2014-10-01T20:46:13.Z",
            "2014-10-01T20:46:13+0200",
            "2014-10-01T20:46:13+24:00",
            "2014-10-01T24:00:00Z",
            "2014-13-01T20:46:13Z",
            "2013-02-29T20:46:13Z",
            "2100-02-29T20:46:13Z",
            "2014-10-00T20:46:13Z",
            "2014-10-01T20:46:60Z",
            "2014-10-01T20:46:13Zx",
            "2014-10-01T20:46:1üZ",
        ] {
            assert!(rewrite(text).is_err(), "{text:?}");
        }
    }
}
