//! The proof of a core, case by case, as a tree: a box for each stretch without a
//! choice, an arrow to each case that parts from it.
//!
//! Takes the lines of `cases` as they are; proves nothing of its own.

use crate::verdict::{Arrow, Picture, Shape};

/// What the lines of a proof by cases draw; `None` if there is nothing to part.
pub fn draw(lines: &[String]) -> Option<Picture> {
    let mut tree = Tree::default();
    for line in lines {
        let text = line.trim_start();
        tree.line((line.len() - text.len()) / 2, text);
    }
    let Tree { boxes, arrows, .. } = tree;
    (!boxes.is_empty()).then_some(Picture { shape: Shape::Cases, boxes, arrows })
}

#[derive(Default)]
struct Tree {
    boxes: Vec<Vec<String>>,
    arrows: Vec<Arrow>,
    /// The boxes that lines may still be added to, with the depth of their lines.
    open: Vec<(usize, usize)>,
}

impl Tree {
    fn line(&mut self, depth: usize, text: &str) {
        self.open.retain(|&(of, _)| of <= depth);
        let parts = ["either ", "or ", "case "].iter().any(|word| text.starts_with(word));
        match (parts, self.open.last()) {
            (false, Some(&(of, at))) if of == depth => self.boxes[at].push(text.into()),
            _ => self.begin(depth + usize::from(parts), text),
        }
    }

    fn begin(&mut self, depth: usize, text: &str) {
        let at = self.boxes.len();
        if let Some(&(_, from)) = self.open.last() {
            self.arrows.push(Arrow { from, to: at, why: String::new() });
        }
        self.boxes.push(vec![text.into()]);
        self.open.push((depth, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_hangs_on_the_stretch_that_it_parts_from() {
        let lines = [
            "at the beginning: a = 1",
            "so next comes #0",
            "either next comes #2",
            "  #4 cannot come next: a contradiction",
            "or next comes #4",
            "  either next comes #6",
            "    nothing can come next: a contradiction",
            "  or next comes #8",
            "    nothing can come next: a contradiction",
        ];
        let picture = draw(&lines.map(String::from)).unwrap();
        let arrows: Vec<_> = picture.arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
        assert_eq!(arrows, [(0, 1), (0, 2), (2, 3), (2, 4)]);
        assert_eq!(picture.boxes[0].len(), 2);
        assert_eq!(picture.boxes[1], ["either next comes #2", "#4 cannot come next: a contradiction"]);
    }

    #[test]
    fn several_ways_to_begin_are_trees_of_their_own_and_no_lines_no_picture() {
        let lines = ["case 1 of 2: a = 1", "  nothing can come next", "case 2 of 2: a = 2"];
        let picture = draw(&lines.map(String::from)).unwrap();
        assert_eq!((picture.boxes.len(), picture.arrows.len()), (2, 0));
        assert_eq!(draw(&[]), None);
    }
}
