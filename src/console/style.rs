//! What things look like, by what they mean.
//!
//! Colour is never the only sign: codes, marks, directions and words say the same, so nothing is
//! lost with NO_COLOR, on a terminal without colours, or to an eye that does not tell them apart.

/// What a cell means.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Style {
    /// Ordinary text.
    #[default]
    Plain,
    /// Of less importance: times, hints.
    Faint,
    /// A delay that is long.
    Slow,
    /// The id of an inbound session.
    Inbound,
    /// The id of an outbound session.
    Outbound,
    /// A client speaks.
    Command,
    /// A reply 2xx or 3xx.
    Good,
    /// A reply 4xx: later.
    Later,
    /// A reply 5xx: never.
    Bad,
    /// `===`
    Event,
    /// A warning.
    Warning,
    /// Breaks the protocol (`**`), or an error of the server.
    Alarm,
    /// Made by a fault rule or by hand (`!!!`), held (`|||`).
    Injected,
    /// A time mark, a gap.
    Mark,
    /// What a search found.
    Found,
    /// Names of columns.
    Header,
    /// The status line.
    Status,
    /// What should be noticed in the status line.
    StatusAlarm,
    /// The prompt, and commands that were given.
    Prompt,
}

/// The eight colours that every terminal with colours has, in its own palette.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Color {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

/// How a style is painted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Paint {
    /// The colour of the letters; else the terminal's own.
    pub color: Option<Color>,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Letters and background swapped.
    pub reverse: bool,
}

impl Style {
    /// All styles.
    pub const ALL: [Style; 19] = [
        Style::Plain,
        Style::Faint,
        Style::Slow,
        Style::Inbound,
        Style::Outbound,
        Style::Command,
        Style::Good,
        Style::Later,
        Style::Bad,
        Style::Event,
        Style::Warning,
        Style::Alarm,
        Style::Injected,
        Style::Mark,
        Style::Found,
        Style::Header,
        Style::Status,
        Style::StatusAlarm,
        Style::Prompt,
    ];

    /// How it is painted.
    pub const fn paint(self) -> Paint {
        const NONE: Paint = Paint { color: None, bold: false, dim: false, reverse: false };
        const fn color(color: Color) -> Paint {
            Paint { color: Some(color), ..NONE }
        }
        match self {
            Style::Plain | Style::Command => NONE,
            Style::Faint => Paint { dim: true, ..NONE },
            Style::Slow => Paint { bold: true, ..color(Color::Yellow) },
            Style::Inbound => color(Color::Cyan),
            Style::Outbound => color(Color::Magenta),
            Style::Good => color(Color::Green),
            Style::Later => color(Color::Yellow),
            Style::Bad => color(Color::Red),
            Style::Event => color(Color::Blue),
            Style::Warning => Paint { bold: true, ..color(Color::Yellow) },
            Style::Alarm => Paint { bold: true, reverse: true, ..color(Color::Red) },
            Style::Injected => Paint { bold: true, ..color(Color::Magenta) },
            Style::Mark | Style::Header | Style::Prompt => Paint { bold: true, ..NONE },
            Style::Found => Paint { reverse: true, bold: true, ..NONE },
            Style::Status => Paint { reverse: true, ..NONE },
            Style::StatusAlarm => Paint { reverse: true, bold: true, ..color(Color::Yellow) },
        }
    }
}
