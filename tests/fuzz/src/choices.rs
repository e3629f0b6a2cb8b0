//! Bytes as a list of choices: how a fuzzer's input steers what makes archives of it.

/// The choices left. When there are none, every further one is the first of its kind, so that a
/// short input makes something plain.
#[derive(Debug, Clone)]
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// A number below 65536.
    pub(crate) fn word(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True in one of `n` cases, and not when nothing is left.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// Some bytes, their number first.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Choices;

    #[test]
    fn what_runs_out_gives_the_first_choice() {
        let mut choices = Choices::new(&[5, 2, b'a', b'b', 9, b'c']);
        assert_eq!(choices.below(4), 1);
        assert_eq!(choices.bytes(), b"ab");
        assert_eq!(choices.bytes(), b"c");
        assert!(choices.is_empty());
        assert_eq!((choices.below(7), choices.word(), choices.one_in(3)), (0, 0, false));
    }
}
