//! A proof as a small graph: a cycle of what must precede what, or a tree of cases.
//!
//! Lists of HTML rather than a drawing on a fixed sheet: their text wraps on a phone,
//! is read in order by a screen reader and can be copied. Lines and arrow heads are the
//! style sheet's.

use maud::{Markup, html};

use super::words::plain;
use crate::verdict::{Picture, Shape};

/// The graph; boxes that no arrow reaches are beginnings.
pub fn draw(picture: &Picture) -> Markup {
    match picture.shape {
        Shape::Cycle => cycle(picture),
        Shape::Cases => {
            let roots =
                (0..picture.boxes.len()).filter(|&at| picture.arrows.iter().all(|arrow| arrow.to != at));
            html! {
                figure.graph {
                    figcaption { "Every order ends in a contradiction" }
                    ul.tree { @for root in roots { (case(picture, root, 0)) } }
                }
            }
        }
    }
}

fn cycle(picture: &Picture) -> Markup {
    let why =
        |from: usize| picture.arrows.iter().find(|arrow| arrow.from == from).map_or("", |arrow| &arrow.why);
    let last = picture.boxes.len().saturating_sub(1);
    html! {
        figure.graph {
            figcaption { "Each must precede the next, and the last one the first: no order can do that" }
            ol.cycle {
                @for (at, lines) in picture.boxes.iter().enumerate() {
                    li { div.box { (boxed(lines)) } div class=(if at == last { "edge back" } else { "edge" }) { (plain(why(at))) @if at == last { ", so it must precede the first" } } }
                }
            }
        }
    }
}

fn boxed(lines: &[String]) -> Markup {
    html! { @for line in lines { p { (plain(line)) } } }
}

/// Deeper trees than any proof has are not followed.
const DEPTH: usize = 60;

fn case(picture: &Picture, at: usize, depth: usize) -> Markup {
    let lines = picture.boxes.get(at).map_or(&[][..], Vec::as_slice);
    let next = picture.arrows.iter().filter(|arrow| arrow.from == at && arrow.to > at && depth < DEPTH);
    let next: Vec<usize> = next.map(|arrow| arrow.to).collect();
    let ends = lines.last().is_some_and(|line| line.ends_with("a contradiction"));
    html! {
        li {
            div class=(if ends { "box end" } else { "box" }) { (boxed(lines)) }
            @if !next.is_empty() { ul { @for &child in &next { (case(picture, child, depth + 1)) } } }
        }
    }
}
