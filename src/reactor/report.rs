//! Notifications of the sender: bounces, notices of delay, word of mail that was relayed.
//!
//! A bounce is mail like other mail: it goes through the commit of the tick. Only when it is
//! durable are the recipients it speaks for marked as failed, durably too; in between, the bounce
//! itself says for whom it speaks, so that a crash makes neither a second bounce nor none (I15). So
//! it is with word of mail that was relayed.

use super::core::Core;
use super::store::{Owner, Pending};
use crate::base::{MessageId, Now, Reply, Status};
use crate::journal::{Level, What};
use crate::queue::bounce::{Fate, MAX_HEADER, Original, Plan, Told, plan_bounce};
use crate::queue::{Delivery, Report};
use crate::spool::{Disk, Head, SpoolError};

/// What is to be recorded once a notification is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// These recipients of the message failed.
    Failed(MessageId, Vec<u32>),
    /// The sender knows that these are late.
    Late(MessageId, Vec<u32>),
    /// These were delivered, to a server that sends no notifications.
    Relayed(MessageId, Vec<u32>),
}

impl<D: Disk> Core<D> {
    /// Does what a sweep of the queue finds: tells senders, and finds new ways.
    pub(super) fn sweep(&mut self, now: Now) {
        if self.queue.next_sweep() > now.time || self.spool.is_recovering() {
            return;
        }
        let sweep = self.queue.sweep(now);
        for report in &sweep.failed {
            let told = self.told(report, |r| if r.expired { Fate::Expired } else { Fate::Failed });
            let record = Record::Failed(report.id, told.iter().map(|t| t.recipient).collect());
            self.report(record, &told, now);
        }
        for id in &sweep.unrouted {
            self.reroute_one(*id, now);
        }
        let expire = self.config.queue.expire;
        for report in &sweep.late {
            let until = Self::arrived(report.id).after(expire);
            let told = self.told(report, |_| Fate::Delayed { until });
            let record = Record::Late(report.id, told.iter().map(|t| t.recipient).collect());
            self.report(record, &told, now);
        }
    }

    /// A server without DSN took mail whose sender asked for news of success.
    pub(super) fn report_relayed(
        &mut self,
        delivery: &Delivery,
        relayed: Vec<(u32, Reply)>,
        now: Now,
    ) {
        let remote = Some(delivery.host.clone().unwrap_or_else(|| self.remote(delivery.server)));
        let told = |(recipient, reply)| Told {
            recipient,
            fate: Fate::Relayed,
            reply: Some(reply),
            remote: remote.clone(),
        };
        let told: Vec<Told> = relayed.into_iter().map(told).collect();
        let recipients = told.iter().map(|t| t.recipient).collect();
        self.report(Record::Relayed(delivery.id, recipients), &told, now);
    }

    fn told(&self, report: &Report, fate: impl Fn(&crate::queue::Reported) -> Fate) -> Vec<Told> {
        let told = report.recipients.iter().map(|r| Told {
            recipient: r.recipient,
            fate: fate(r),
            reply: r.reply.clone(),
            remote: Some(r.host.clone().unwrap_or_else(|| self.remote(r.server))),
        });
        told.collect()
    }

    /// Queues a notification, or records at once when nobody is to be told. What cannot be done
    /// now, the queue gives out again later.
    fn report(&mut self, record: Record, told: &[Told], now: Now) {
        let (Record::Failed(id, _) | Record::Late(id, _) | Record::Relayed(id, _)) = record;
        let head = match self.spool.head(id) {
            Ok(head) => head.into_owned(),
            // Gone, or damaged and kept apart: nothing is left to be reported.
            Err(SpoolError::Unknown | SpoolError::Corrupt { .. }) => {
                self.queue.remove(id.counter);
                return;
            }
            Err(e) => {
                self.unreported(&record, now);
                return self.say(now, Level::Error, &format!("{}: {e}", id.short()));
            }
        };
        let Some(plan) = plan_bounce(id, &head.envelope, head.body, told) else {
            return self.record(&record, now);
        };
        let sender = head.envelope.from.as_ref();
        if !sender.is_none_or(|sender| self.limiter.allow(sender, now.time)) {
            if let Record::Late(..) | Record::Relayed(..) = record {
                self.unreported(&record, now);
            }
            return;
        }
        if let Err(e) = self.queue_notification(record.clone(), &plan, &head, now) {
            self.unreported(&record, now);
            self.say(now, Level::Error, &format!("{}: cannot queue a bounce: {e}", id.short()));
        }
    }

    fn queue_notification(
        &mut self,
        record: Record,
        plan: &Plan,
        head: &Head,
        now: Now,
    ) -> Result<(), SpoolError> {
        let most = if plan.whole { head.body } else { head.body.min(MAX_HEADER as u64) };
        let mut content = vec![0; usize::try_from(most).unwrap_or(0)];
        let mut at = 0;
        while at < content.len() {
            match self.spool.read(head.id, at as u64, &mut content[at..])? {
                0 => break,
                n => at += n,
            }
        }
        content.truncate(at);
        let original = Original {
            id: head.id,
            arrived: head.arrived,
            envelope: &head.envelope,
            content: &content,
        };
        let hostname = self.relay_session.hostname.clone();
        let mut incoming = self.spool.begin(&plan.envelope, now)?;
        let octets = plan.compose(&original, &hostname, incoming.id(), now.wall);
        self.spool.append(&mut incoming, &octets)?;
        let routes = self.routes_of(&plan.envelope, now);
        self.spool.finish(incoming);
        self.pending.push(Pending { owner: Owner::Report(record), routes });
        Ok(())
    }

    /// The commit of a notification is through, or failed: then the queue gives it out again.
    pub(super) fn report_committed(
        &mut self,
        bounce: MessageId,
        record: &Record,
        result: &Result<MessageId, Reply>,
        now: Now,
    ) {
        let (Record::Failed(id, list) | Record::Late(id, list) | Record::Relayed(id, list)) =
            record;
        if result.is_ok() {
            let what = What::Bounced { bounce, recipients: list.len() };
            self.note(now, None, Some(*id), what);
            self.record(record, now);
        } else {
            self.unreported(record, now);
        }
    }

    /// The disk did not let us, or the cap on notifications: the queue gives it out again.
    fn unreported(&mut self, record: &Record, now: Now) {
        let (Record::Failed(id, recipients) | Record::Late(id, recipients)) = record else {
            return;
        };
        self.queue.unreported(id.counter, recipients, now);
    }

    fn record(&mut self, record: &Record, now: Now) {
        match record {
            Record::Failed(id, recipients) => {
                for recipient in recipients {
                    match self.spool.mark(*id, *recipient, Status::Failed, now.time) {
                        Ok(true) => self.note(now, None, Some(*id), What::Retired),
                        Ok(false) | Err(SpoolError::Unknown) => {}
                        Err(e) => {
                            let text = format!("{}: cannot record a failure: {e}", id.short());
                            self.say(now, Level::Error, &text);
                        }
                    }
                }
                self.queue.reported(id.counter, recipients);
            }
            Record::Late(id, recipients) => {
                for recipient in recipients {
                    self.mark(*id, *recipient, Status::Delayed, now);
                }
            }
            Record::Relayed(id, recipients) => {
                for recipient in recipients {
                    self.mark(*id, *recipient, Status::Delivered, now);
                }
            }
        }
    }
}
