//! Many processes at once.
//!
//! Workers run commands on one repository at the same time, each from a script that the seed decides; processes are
//! killed and stopped at moments that the seed decides too. What the commands did and when is written down, and when
//! all is quiet a judge that knows which outcomes are legal looks at the repository. Some kinds of rounds make the bad
//! moments of one lock likely and come first; then everything happens at once, and then beside writers that take no
//! locks. Moments in the life of a process never repeat exactly, so a seed makes the same loss likely, not certain.

mod action;
mod field;
mod foreign;
mod history;
mod judge;
mod names;
mod pool;
mod process;
mod queue;
mod round;
mod slow;
mod stuck;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::tools;

use self::field::Field;
use self::foreign::Tools;
use self::pool::Pool;
use self::round::Beside;
use crate::context::Context;
use crate::outcome::{Outcome, Tally};

/// So many images are in the pool, and at most so many workers at work.
const IMAGES: u64 = 8;
const WORKERS: usize = 8;

pub(crate) fn run(context: &Context) -> Outcome {
    let ocirepo = context.ocirepo();
    let pool = Pool::make(&ocirepo, IMAGES, WORKERS)?;
    let mut race = Race {
        context,
        ocirepo,
        pool: &pool,
        tools: Tools::find(),
        strace: tools::strace(),
        tally: Tally::default(),
    };
    for number in 0.. {
        for kind in KINDS {
            // However short the time is, each kind that watches over a lock has its turn once.
            if context.is_over() && (number > 0 || !kind.is_first) {
                return Ok(race.tally);
            }
            race.play(kind, number)?;
        }
    }
    Ok(race.tally)
}

/// A kind of round.
struct Kind {
    name: &'static str,
    seconds: u64,
    /// Whether it watches over one lock.
    is_first: bool,
}

const fn kind(name: &'static str, seconds: u64, is_first: bool) -> Kind {
    Kind { name, seconds, is_first }
}

/// In this order, again and again.
const KINDS: [Kind; 7] = [
    kind("names", 3, true),
    kind("reuse", 5, true),
    kind("queue", 3, true),
    kind("mixed", 5, false),
    kind("foreign", 5, false),
    kind("stuck", 3, false),
    kind("mixed", 5, false),
];

struct Race<'c> {
    context: &'c Context,
    ocirepo: Ocirepo,
    pool: &'c Pool,
    tools: Tools,
    strace: Option<PathBuf>,
    tally: Tally,
}

impl Race<'_> {
    /// One round of that kind, in a repository of its own.
    fn play(&mut self, kind: Kind, number: u64) -> Outcome<()> {
        let Kind { name, seconds, .. } = kind;
        let mut chance = self.context.chance(&format!("{name} {number}"));
        // The larger index.json is, the longer a commit and a look take.
        let is_even = number.is_multiple_of(2);
        let kept = match name {
            "names" => {
                if is_even {
                    40
                } else {
                    1
                }
            }
            "reuse" => {
                if is_even {
                    100
                } else {
                    1
                }
            }
            "stuck" => 500,
            _ => 2,
        };
        let time = Duration::from_secs(seconds).min(self.context.left().max(Duration::from_secs(1)));
        let field = Field::new(&self.ocirepo, &format!("{name}-{number}"), self.pool, kept, time)?;
        let alone = Beside::default();
        let played = match name {
            "names" => round::play(&field, &round::namers(), &mut chance, alone),
            "reuse" => round::play(&field, &round::reusers(), &mut chance, alone),
            "queue" => queue::play(&field),
            "stuck" => stuck::play(&field, &mut chance, number),
            "foreign" => {
                let beside = Beside { strace: self.strace.as_deref(), tools: Some(&self.tools) };
                round::play(&field, &round::neighbours(), &mut chance, beside)
            }
            _ => {
                let workers = 4 + usize::try_from(chance.below(5))?;
                round::play(&field, &round::anybody(workers), &mut chance, alone)
            }
        };
        self.tally.add(&field.tally());
        played.map(|()| field.clear())
    }
}
