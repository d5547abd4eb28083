//! Bytes as text (RFC 4648), for secrets: nothing of them is told where they are wrong.

/// RFC 4648, section 4. Padding may be left out; anything else makes it none.
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) || digits.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xFF) as u8);
        }
    }
    // Bits that are left over and not zero: another text for the same bytes.
    (bits & ((1 << count) - 1) == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_the_same_bytes() {
        for (text, bytes) in
            [("", &b""[..]), ("Zg==", b"f"), ("Zg", b"f"), ("Zm9vYmFy", b"foobar"), ("/+8=", b"\xff\xef")]
        {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for bad in ["Z", "Zh==", "Zg=", "Zg===", "Z g=", "Zm9v-_", "Zm9vYmF\n"] {
            assert_eq!(base64(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
