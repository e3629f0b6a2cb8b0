//! The lines that lead from one row of a tree to those below it.

/// A row of a tree, from the top down.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    /// How deep it stands; 0 for a row that stands for itself.
    pub(crate) depth: usize,
    pub(crate) label: String,
}

/// What stands deeper than this is drawn as if it stood here, so that lines stay short.
const MAX_DEPTH: usize = 32;

/// The labels with their lines before them.
pub(crate) fn tree(branches: &[Branch]) -> Vec<String> {
    // Whether more come at each depth, as seen from below.
    let mut more: Vec<bool> = Vec::new();
    let mut texts: Vec<String> = Vec::with_capacity(branches.len());
    for Branch { depth, label } in branches.iter().rev() {
        let depth = &(*depth).min(MAX_DEPTH);
        let has_next = more.get(*depth).copied().unwrap_or(false);
        more.resize(depth + 1, false);
        let above = more.iter().take(*depth).skip(1).map(|more| if *more { "│  " } else { "   " });
        let own = match (*depth, has_next) {
            (0, _) => "",
            (_, true) => "├─ ",
            (_, false) => "└─ ",
        };
        texts.push(format!("{}{own}{label}", above.collect::<String>()));
        more[*depth] = true;
    }
    texts.reverse();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lead_from_each_row_to_those_below_it() {
        let rows = [(0, "a"), (1, "b"), (2, "c"), (2, "d"), (1, "e"), (2, "f"), (0, "g"), (1, "h")];
        let branch = |(depth, label): &(usize, &str)| Branch { depth: *depth, label: (*label).to_owned() };
        let branches: Vec<Branch> = rows.iter().map(branch).collect();
        let drawn = "a\n├─ b\n│  ├─ c\n│  └─ d\n└─ e\n   └─ f\ng\n└─ h";
        assert_eq!(tree(&branches).join("\n"), drawn);
    }
}
