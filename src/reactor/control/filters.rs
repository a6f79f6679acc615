//! `filter add|list|delete` and `check`.
//!
//! A filter that is added is a section of the configuration, changed while running: `config diff`
//! shows it, `config save` writes it into the file, `config reload` forgets it.

use serde_json::{Value, json};

use super::Refusal;
use super::server::{done, state_of};
use crate::base::{Address, Printable, nearest};
use crate::control::{FilterCommand, Imagined, NewFilter};
use crate::journal::{Level as Loudness, Report, render};
use crate::queue::ServerId;
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::rules::filter::{Action, Fate, Filter, Fit, Level, Origin, Sight};
use crate::rules::{Field, Fields, Rcpts, Ruling};
use crate::spool::Disk;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `filter …`
    pub(super) fn filter_command(&mut self, command: FilterCommand) -> Result<Report, Refusal> {
        match command {
            FilterCommand::Add(new) => self.add_filter(new),
            FilterCommand::List => Ok(self.list_filters()),
            FilterCommand::Delete(Some(name)) => self.delete_filter(name),
            FilterCommand::Delete(None) => self.delete_filters(),
        }
    }

    fn add_filter(&mut self, new: NewFilter) -> Result<Report, Refusal> {
        let taken = |name: &str| self.core.filters.iter().any(|(f, ..)| f.name == name);
        let name = match new.name {
            Some(name) if taken(&name) => {
                let message = format!("there is a filter '{name}' already; delete it first");
                return Err(Refusal::new(message));
            }
            Some(name) => name,
            None => loop {
                self.core.filter_names += 1;
                let name = format!("f{}", self.core.filter_names);
                if !self.core.filters.iter().any(|(f, ..)| f.name == name) {
                    break name;
                }
            },
        };
        let words: Vec<(&str, &str)> = new.words.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let config =
            self.core.config.with_filter(&name, &words).map_err(|message| {
                match message.strip_prefix("via: ") {
                    Some(message) => Refusal::at(new.via_column, message),
                    None => Refusal::new(message),
                }
            })?;
        self.apply(config).map_err(Refusal::new)?;
        let text = match self.core.filters.iter().find(|(f, ..)| f.name == name) {
            Some((filter, ..)) => format!("filter {name} added: {}", in_words(filter)),
            None => format!("filter {name} added"),
        };
        self.core.say(self.now, Loudness::Info, &text);
        Ok(Report { json: json!({ "name": name }), lines: vec![shown(&text)] })
    }

    fn list_filters(&self) -> Report {
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        let file = self.core.config.settings.file().map(|f| f.display().to_string());
        for (n, (filter, origin, hits)) in (1..).zip(self.core.filters.iter()) {
            let source = match (origin, &file) {
                (Origin::File(line), Some(file)) if line > 0 => format!("{file}:{line}"),
                (origin, _) => origin.to_string(),
            };
            if lines.is_empty() {
                lines.push(format!("{:>3} {:<12} {:>8}  WHAT AND WHEN", "#", "NAME", "HITS"));
            }
            lines.push(format!(
                "{n:>3} {:<12} {hits:>8}  {}",
                filter.name,
                shown(in_words(filter))
            ));
            lines.push(format!("{:>27}{}", "", shown(&source)));
            rows.push(row_of(filter, hits, &source));
        }
        if lines.is_empty() {
            lines.push("no filters".into());
        }
        Report { json: json!({ "filters": rows }), lines }
    }

    fn delete_filter(&mut self, name: String) -> Result<Report, Refusal> {
        let found = self.core.filters.iter().find(|(f, ..)| f.name == name);
        let Some(origin) = found.map(|(_, origin, _)| origin) else {
            let names: Vec<&str> =
                self.core.filters.iter().map(|(f, ..)| f.name.as_str()).collect();
            let hint = match nearest(&name, names.iter().copied()) {
                Some(near) => format!("; did you mean '{near}'?"),
                None if names.is_empty() => "; there are none".to_owned(),
                None => format!("; there are {}", names.join(", ")),
            };
            let name = Printable::bounded(&name, 80);
            return Err(Refusal::new(format!("no filter is named '{name}'{hint}")));
        };
        self.drop_filters(std::slice::from_ref(&name))?;
        let text = format!("filter {name} deleted");
        self.core.say(self.now, Loudness::Info, &text);
        Ok(match origin {
            Origin::File(_) => Report {
                json: json!({ "deleted": [name], "until_reload": true }),
                lines: vec![format!(
                    "{text}, until 'config reload'; 'config save' takes it out of the file"
                )],
            },
            _ => Report { json: json!({ "deleted": [name] }), lines: vec![text] },
        })
    }

    fn delete_filters(&mut self) -> Result<Report, Refusal> {
        let names: Vec<String> = self.core.filters.iter().map(|(f, ..)| f.name.clone()).collect();
        if names.is_empty() {
            return Ok(Report { json: json!({ "deleted": [] }), ..done("there are no filters") });
        }
        let from_file = self.core.filters.iter().any(|(_, o, _)| matches!(o, Origin::File(_)));
        self.drop_filters(&names)?;
        let text = format!("filters deleted: {}", names.join(", "));
        self.core.say(self.now, Loudness::Info, &text);
        let until = if from_file { "; those of the file until 'config reload'" } else { "" };
        let json = json!({ "deleted": names, "until_reload": from_file });
        Ok(Report { json, lines: vec![format!("{text}{until}")] })
    }

    fn drop_filters(&mut self, names: &[String]) -> Result<(), Refusal> {
        let config = self.core.config.without_filters(names).map_err(Refusal::new)?;
        self.apply(config).map(drop).map_err(Refusal::new)
    }

    /// `check client=IP from=A rcpt=B …`: what would be done with such mail, and why. The same
    /// rules are asked as for real mail; what was not said of it is not known.
    pub(super) fn check(&mut self, mail: &Imagined) -> Report {
        let mut walk = self.walk(mail);
        let core = &self.core;
        let ruling = core.relay.rule(mail.client, mail.user.is_some(), &mail.rcpt);
        let mut reply = ruling.refusal();
        let mut by = reply.as_ref().map(|_| "relay rule".to_owned());
        if reply.is_some() {
            walk = Walked::default();
        }
        let deciding = walk.decided.and_then(|at| core.filters.get(at).map(|f| (at, f)));
        if let Some((_, filter)) = deciding {
            by = Some(format!("filter {}", filter.name));
            reply = filter.action.reply().cloned();
        }
        let fate = deciding.and_then(|(at, filter)| fate_of(at, &filter.action));
        if reply.is_none() && !core.fate_has_way(fate, mail.from.as_ref(), &mail.rcpt) {
            reply = Some(crate::reactor::filtering::no_route());
            by = Some("routes".to_owned());
        }
        let (targets, route) = self.goal(mail, deciding.map(|(_, filter)| &filter.action));
        let told = reply.as_ref().map(|r| Printable::new(render::reply_line(r)).into_string());
        let verdict = match (&told, deciding.map(|(_, filter)| &filter.action)) {
            (Some(reply), None) => format!("refused at RCPT: {reply}"),
            (Some(reply), _) => format!("refused: {reply}"),
            (None, Some(Action::Hold)) => "accepted, and held".to_owned(),
            (None, Some(Action::Discard)) => "accepted, and kept nowhere".to_owned(),
            (None, _) => "accepted".to_owned(),
        };
        let unless = match walk.unknown.is_empty() {
            true => String::new(),
            false => format!(", unless {} fits", walk.unknown.join(" or ")),
        };
        let because = by.as_ref().map(|by| format!(" (by the {by})")).unwrap_or_default();
        let because = because.replace("the filter", "filter");
        let mut lines = vec![shown(format!("{verdict}{because}{unless}"))];
        let ruling = ruling_in_words(&ruling);
        lines.push(format!("relay rule: {ruling}"));
        lines.extend(walk.lines);
        if targets != [mail.rcpt.to_string()] {
            lines.push(shown(format!("recipients: {}", targets.join(", "))));
        }
        lines.push(match route.is_empty() {
            true => "route: none".to_owned(),
            false => format!("route: {}", route.join(", then ")),
        });
        lines.extend(self.servers_in_words(&route));
        let server = &self.core.config.server;
        lines.push(format!(
            "limits: {} octets a message, {} recipients",
            server.max_message_size, server.max_recipients
        ));
        let action = deciding.map(|(_, filter)| filter.action.name());
        let json = json!({
            "accepted": told.is_none(), "certain": walk.unknown.is_empty(), "reply": told,
            "decided_by": by, "action": action, "rule": ruling, "filters": walk.rows,
            "recipients": targets, "route": route,
        });
        Report { json, lines }
    }

    /// The filters that are considered, in order, up to the one that decides.
    fn walk(&self, mail: &Imagined) -> Walked {
        let header: String =
            mail.header.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let fields = Fields {
            client: Some(mail.client),
            helo: mail.helo.as_deref(),
            from: Some(mail.from.as_ref().map_or("", Address::as_str)),
            rcpt: Rcpts::One(&mail.rcpt),
            size: mail.size,
            header: header.as_bytes(),
            tls: Some(mail.tls),
            user: mail.user.as_deref(),
            ..Fields::default()
        };
        let has = |name: &str| mail.header.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let known = |field: &Field| match field {
            Field::Helo => mail.helo.is_some(),
            Field::Size => mail.size.is_some(),
            Field::Subject => has("subject"),
            Field::Header(name) => has(name),
            _ => true,
        };
        let sight = Sight { level: Level::Dot, fields };
        let mut walked = Walked::default();
        for (at, (filter, ..)) in self.core.filters.iter().enumerate() {
            let fit = sight.fit_if(filter, known);
            let is_full = || self.core.filters.is_spent(at, &sight.fields, self.now.time);
            let decides = match (&filter.action, fit) {
                (Action::Tag(_), _) | (_, Fit::No | Fit::Unknown) => false,
                (Action::Limit(..), Fit::Yes) => is_full(),
                (_, Fit::Yes) => true,
            };
            let (word, fits) = match fit {
                Fit::Yes if decides => ("yes, and decides", Some(true)),
                Fit::Yes if matches!(filter.action, Action::Limit(..)) => {
                    ("yes, and is within the rate", Some(true))
                }
                Fit::Yes => ("yes", Some(true)),
                Fit::No => ("no", Some(false)),
                Fit::Unknown => ("not known", None),
            };
            if fit == Fit::Unknown && !matches!(filter.action, Action::Tag(_)) {
                walked.unknown.push(format!("filter {}", filter.name));
            }
            let text = format!("filter {}, {}: {word}", filter.name, in_words(filter));
            walked.lines.push(shown(text));
            walked.rows.push(json!({
                "name": filter.name, "action": filter.action.name(), "fits": fits,
                "decides": decides,
            }));
            if decides {
                walked.decided = Some(at);
                break;
            }
        }
        walked
    }

    /// Who would get it, and by which next servers.
    fn goal(&self, mail: &Imagined, action: Option<&Action>) -> (Vec<String>, Vec<String>) {
        let core = &self.core;
        let rcpt = match action {
            Some(Action::Discard) => return (Vec::new(), Vec::new()),
            Some(Action::Redirect(to)) => to,
            _ => &mail.rcpt,
        };
        let ends = core.aliases.expand(rcpt);
        let via = match action {
            Some(Action::Route(names)) => core.via(names),
            _ => Vec::new(),
        };
        let mut route: Vec<String> = Vec::new();
        for end in &ends {
            let groups = match via.is_empty() {
                true => core.routes.route(mail.from.as_ref(), end),
                false => &via,
            };
            let ids = groups.iter().flat_map(|group| group.0.iter().map(|(id, _)| *id));
            for name in ids.map(|id: ServerId| core.server(id).name.clone()) {
                if !route.contains(&name) {
                    route.push(name);
                }
            }
        }
        (ends.iter().map(ToString::to_string).collect(), route)
    }

    /// A line for each of these next servers: where it is, and how it is.
    fn servers_in_words(&self, names: &[String]) -> Vec<String> {
        let views = self.core.queue.servers(self.now).filter(|v| names.iter().any(|n| n == v.name));
        let line = |view: crate::queue::ServerView<'_>| {
            let settings = self.core.server(view.id);
            let (host, state) = (Printable::new(&settings.host), state_of(&view).0);
            format!("next server {}: {host}:{}, {state}", view.name, settings.port)
        };
        views.map(line).collect()
    }
}

/// What `check` saw on its way.
#[derive(Default)]
struct Walked {
    lines: Vec<String>,
    rows: Vec<Value>,
    decided: Option<usize>,
    /// Filters that might decide, or not.
    unknown: Vec<String>,
}

fn fate_of(at: usize, action: &Action) -> Option<Fate> {
    match action {
        Action::Discard => Some(Fate::Discard(at)),
        Action::Redirect(_) => Some(Fate::Redirect(at)),
        Action::Route(_) => Some(Fate::Route(at)),
        _ => None,
    }
}

fn shown(text: impl AsRef<str>) -> String {
    Printable::new(text.as_ref()).into_string()
}

/// `reject 550 5.7.1 no where rcpt ~ "x"`
fn in_words(filter: &Filter) -> String {
    let mut text = filter.action.name().to_owned();
    if let Some(reply) = filter.action.reply() {
        text.push(' ');
        text.push_str(&String::from_utf8_lossy(&render::reply_line(reply)));
    }
    let terms = filter.action.terms();
    if !terms.is_empty() {
        text.push(' ');
        text.push_str(&terms);
    }
    let usual = match filter.action {
        Action::Limit(..) => Level::Mail,
        _ => Level::Connect,
    };
    if filter.from > usual {
        text.push_str(&format!(" stage={}", filter.from.name()));
    }
    if filter.condition.is_some() {
        text.push_str(&format!(" where {}", filter.source()));
    }
    text
}

fn row_of(filter: &Filter, hits: u64, source: &str) -> Value {
    let reply = filter.action.reply().map(|r| Printable::new(render::reply_line(r)));
    let mut row = json!({
        "name": filter.name, "action": filter.action.name(), "reply": reply,
        "where": filter.condition.as_ref().map(|c| Printable::new(c.source())), "hits": hits,
        "source": shown(source), "stage": filter.from.name(),
    });
    match &filter.action {
        Action::Tag(field) => row["header"] = json!(field),
        Action::Redirect(to) => row["to"] = json!(Printable::new(to.as_str())),
        Action::Route(names) => row["via"] = json!(names),
        Action::Limit(rate, per, _) => {
            row["rate"] = json!(rate.to_string());
            row["per"] = json!(per.name());
        }
        Action::Accept | Action::Reject(_) | Action::Hold | Action::Discard => {}
    }
    row
}

fn ruling_in_words(ruling: &Ruling<'_>) -> String {
    match ruling {
        Ruling::User => "the client authenticated".to_owned(),
        Ruling::Network(net) => format!("the client is in {net} of server.relay_from"),
        Ruling::Postmaster => "everyone may write to the postmaster".to_owned(),
        Ruling::Domain(pattern) => format!("the domain fits {pattern} of server.relay_to"),
        Ruling::Denied => "neither the client is in server.relay_from nor the domain in \
             server.relay_to"
            .to_owned(),
        Ruling::Routed(pattern) => {
            format!("the domain fits {pattern}, but the local part names a route beyond it")
        }
    }
}
