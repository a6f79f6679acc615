//! The words of `filter` and `check`.

use super::command::{Command, FilterCommand, Imagined, NewFilter};
use super::parse::{Args, CommandError};
use super::verbs::{address, sender};
use crate::base::parse_size;
use crate::rules::filter::{Draft, KEYS, Part};

/// What can be done with filters.
pub const FILTERS: &[&str] = &["add", "list", "delete"];

/// `filter add ACTION ["CODE TEXT"] [key=value ...] [where E]`, `filter list`,
/// `filter delete NAME|all`
pub fn filter(args: &mut Args<'_>) -> Result<Command, CommandError> {
    Ok(Command::Filter(match args.need_choice(FILTERS)? {
        "add" => FilterCommand::Add(add(args)?),
        "list" => FilterCommand::List,
        _ => match args.need("the name of a filter, or all,")?.text.as_str() {
            "all" => FilterCommand::Delete(None),
            name => FilterCommand::Delete(Some(name.to_owned())),
        },
    }))
}

/// A filter whose words make sense, but for names that only the server knows.
fn add(args: &mut Args<'_>) -> Result<NewFilter, CommandError> {
    let action = args.need("what to do, such as reject,")?;
    let text = args.reply();
    let [name, reply, to, via, header, rate, per, stage] =
        args.pairs(["name", "reply", "to", "via", "header", "rate", "per", "stage"])?;
    let (mut values, mut columns) = ([None; 7], [action.column; 7]);
    for (i, pair) in [reply, to, via, header, rate, per, stage].into_iter().enumerate() {
        if let Some(pair) = pair {
            (values[i], columns[i]) = (Some(pair.value()), pair.column());
        }
    }
    if let Some((column, text)) = &text {
        if values[0].is_some() {
            return Err(CommandError::new(columns[0], "the reply is said twice"));
        }
        (values[0], columns[0]) = (Some(text.as_str()), *column);
    }
    let condition = args.condition();
    let draft = Draft {
        action: &action.text,
        condition: condition.map(|(_, source)| source),
        reply: values[0],
        to: values[1],
        via: values[2],
        header: values[3],
        rate: values[4],
        per: values[5],
        stage: values[6],
    };
    if let Err(e) = draft.make("f") {
        let column = match e.part {
            Part::Action => action.column,
            Part::Where => condition.map_or(1, |(before, _)| before + e.column.unwrap_or(1)),
            Part::Key(n) => columns[n],
        };
        return Err(CommandError::new(column, e.message));
    }
    let mut words = vec![("action", action.text.clone())];
    let given = KEYS.iter().zip(values).filter_map(|(key, value)| Some((*key, value?.to_owned())));
    words.extend(given);
    words.extend(condition.map(|(_, source)| ("where", source.trim().to_owned())));
    let name = name.map(|name| name.read("a name of letters, digits, - and _", filter_name));
    Ok(NewFilter { name: name.transpose()?, words, via_column: columns[2] })
}

fn filter_name(text: &str) -> Option<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(word);
    (fits && text != "all" && text != "default").then(|| text.to_owned())
}

/// `check client=IP [from=ADDRESS] rcpt=ADDRESS` and what else is known of the mail.
pub fn check(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let (given, fields) = args
        .pairs_and_fields(["client", "from", "rcpt", "helo", "size", "subject", "tls", "user"])?;
    let [client, from, rcpt, helo, size, subject, tls, user] = given;
    let client = client.ok_or_else(|| args.wanted("client="))?;
    let rcpt = rcpt.ok_or_else(|| args.wanted("rcpt="))?;
    let switch = |text: &str| match text {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    };
    let text = |pair: super::parse::Pair<'_>| pair.value().to_owned();
    let subject = subject.map(|subject| ("subject".to_owned(), text(subject)));
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), text(value)));
    Ok(Command::Check(Box::new(Imagined {
        client: client.parse("an IP address")?,
        from: from.map_or(Ok(None), |from| from.read("an address", sender))?,
        rcpt: rcpt.read("an address", address)?,
        helo: helo.map(text),
        size: size.map(|size| size.read("a size such as 10M", parse_size)).transpose()?,
        tls: tls.map_or(Ok(false), |tls| tls.read("yes or no", switch))?,
        user: user.map(text).filter(|user| !user.is_empty()),
        header: subject.into_iter().chain(fields).collect(),
    })))
}
