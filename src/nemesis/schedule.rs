//! When planned faults begin and end, and which are left out.
//!
//! Each fault waits for its trigger, looks at the state of its nodes, is applied,
//! lasts its time and is healed; when the faulty phase ends, everything that is
//! active is healed at once. No two faults of a family meet at one place: never is
//! a dead node paused, nor a paused one killed by another rule. A place is a node or,
//! for network faults, a direction of a link.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use regex::Regex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::budget::{Budget, CAUGHT_UP, Moment};
use super::{Effect, Journal, apply, attend, heal, held_by_one, network, unfit};
use crate::cluster::Cluster;
use crate::cluster::node::NodeProcess;
use crate::fault::network::Direction;
use crate::fault::{Family, FaultKind, Node};
use crate::plan::{Begins, PlannedFault};
use crate::sync::lock;

/// What faults wait for.
#[derive(Clone)]
pub struct Signals {
    /// When the clients began.
    pub start: Instant,
    /// Acknowledged operations so far.
    pub acknowledged: watch::Receiver<u64>,
    /// Turns true when the faulty phase ends.
    pub over: watch::Receiver<bool>,
}

/// What only one fault has at a time; of a link it is a direction.
type Place = (Node, Family, Option<Direction>);

fn places(fault: &PlannedFault, node: Node) -> Vec<Place> {
    match fault.fault.family() {
        Family::Network => {
            let each = network::directions(fault, node).iter();
            each.map(|direction| (node, Family::Network, Some(*direction))).collect()
        }
        family if fault.fault.takes_process() => {
            vec![(node, family, None), (node, Family::Process, None)]
        }
        family => vec![(node, family, None)],
    }
}

/// The faults of one run.
#[derive(Clone)]
pub struct Nemesis {
    /// Where they are carried out.
    pub cluster: Arc<Cluster>,
    /// Who is told.
    pub journal: Arc<dyn Journal>,
    /// Seed of the run; each fault's jitter has a stream of its own.
    pub seed: u64,
    taken: Arc<Mutex<BTreeSet<Place>>>,
    budget: Arc<Budget>,
}

impl Nemesis {
    /// A nemesis that has done nothing yet.
    /// `beyond_budget` lets faults damage more synced data than can be survived.
    pub fn new(cluster: Arc<Cluster>, journal: Arc<dyn Journal>, seed: u64, beyond_budget: bool) -> Self {
        let replicas = cluster.lives().iter().filter(|(node, _)| *node != Node::Coord).count();
        let budget = Arc::new(Budget::new(replicas, beyond_budget));
        Self { cluster, journal, seed, taken: Arc::default(), budget }
    }

    /// Carries out the plan; returns when every fault has been healed or skipped.
    pub async fn run(self, faults: Vec<PlannedFault>, signals: Signals) {
        let mut tasks = JoinSet::new();
        for fault in faults {
            let (nemesis, signals) = (self.clone(), signals.clone());
            tasks.spawn(async move { nemesis.one(fault, signals).await });
        }
        while let Some(done) = tasks.join_next().await {
            // A fault that panicked may be left unhealed: a defect that must be seen.
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
    }

    /// Carries out a fault now, and heals it when its time is over and `meanwhile` has ended.
    pub async fn around(&self, fault: &PlannedFault, meanwhile: impl Future<Output = ()>) {
        let nodes: Vec<_> = fault.nodes.iter().filter_map(|name| self.cluster.node(*name)).collect();
        if let Some(reason) = nodes.iter().find_map(|node| unfit(fault.fault, node)) {
            return self.journal.skip(fault, &fault.nodes, &reason);
        }
        self.journal.begin(fault, &fault.nodes);
        let mut effect = Effect::held(true);
        for node in &nodes {
            effect = effect.and(apply(fault, self.seed, node).await);
        }
        tokio::join!(meanwhile, tokio::time::sleep(Duration::from_nanos(fault.lasts_ns)));
        for node in &nodes {
            effect = effect.and(heal(fault, node).await);
        }
        self.journal.end(fault, &fault.nodes, &effect);
    }

    async fn one(&self, fault: PlannedFault, mut signals: Signals) {
        if let Err(reason) = due(&fault, &self.cluster, &mut signals).await {
            self.journal.skip(&fault, &fault.nodes, &reason);
            return;
        }
        let nodes = self.take(&fault, &signals);
        if nodes.is_empty() {
            return;
        }
        let names: Vec<Node> = nodes.iter().map(|node| node.node()).collect();
        self.journal.begin(&fault, &names);
        let (fault, seed) = (Arc::new(fault), self.seed);
        let share = || fault.clone();
        let applied = together(each(&nodes, |node| {
            let fault = share();
            async move { apply(&fault, seed, &node).await }
        }));
        let applied = applied.await;
        let (finish, finished) = watch::channel(false);
        let mut attending = each(&nodes, |node| {
            let (fault, finished) = (share(), finished.clone());
            async move { attend(&fault, seed, &node, finished).await }
        });
        let lasts = Duration::from_nanos(fault.lasts_ns);
        let _ = tokio::time::timeout(lasts, signals.over.wait_for(|over| *over)).await;
        // Nothing may begin again once it is healed.
        finish.send_replace(true);
        let troubled = if fault.fault.family() == Family::Network {
            stopped(&mut attending).await
        } else {
            together(attending).await
        };
        self.hear_of_recovery(&fault, &nodes);
        let healed = each(&nodes, |node| {
            let fault = share();
            async move { heal(&fault, &node).await }
        });
        let healed = if held_by_one(fault.fault) {
            healed.join_all().await.into_iter().fold(Effect::default(), Effect::or)
        } else {
            together(healed).await
        };
        let effect = applied.and(troubled).and(healed);
        self.journal.end(&fault, &names, &effect);
        self.budget.end(&fault, &names, effect.error.is_none(), now(&signals));
        self.release(&fault, &names);
    }

    /// A node that will notice its damage is down, so what it says next it says after the damage.
    fn hear_of_recovery(&self, fault: &PlannedFault, nodes: &[Arc<NodeProcess>]) {
        let noticed = fault.fault.damages_synced() && !fault.fault.goes_unnoticed();
        let Some(pattern) = Regex::new(CAUGHT_UP).ok().filter(|_| noticed) else {
            return;
        };
        for node in nodes {
            let (told, budget, name) = (node.heard().next(pattern.clone()), self.budget.clone(), node.node());
            tokio::spawn(async move {
                if told.await.is_ok() {
                    budget.caught_up(name);
                }
            });
        }
    }

    /// Reserves the nodes at which the fault can begin; the others are skipped. Half
    /// a partition is another one: it begins everywhere or not at all.
    fn take(&self, fault: &PlannedFault, signals: &Signals) -> Vec<Arc<NodeProcess>> {
        let (mut chosen, mut left_out) = (Vec::new(), false);
        for &name in &fault.nodes {
            match self.take_one(fault, name, now(signals)) {
                Ok(node) => chosen.push(node),
                Err(reason) => {
                    self.journal.skip(fault, &[name], &reason);
                    left_out = true;
                }
            }
        }
        if left_out && fault.fault == FaultKind::Partition {
            let names: Vec<Node> = chosen.drain(..).map(|node| node.node()).collect();
            self.release(fault, &names);
            self.budget.end(fault, &names, true, now(signals));
        }
        chosen
    }

    fn take_one(&self, fault: &PlannedFault, name: Node, now: Moment) -> Result<Arc<NodeProcess>, String> {
        let node = self.cluster.node(name).ok_or_else(|| format!("the cluster has no {name}"))?;
        let places = places(fault, name);
        let mut taken = lock(&self.taken);
        if places.iter().any(|place| taken.contains(place)) {
            return Err(format!("another fault of this kind is active at {name}"));
        }
        match unfit(fault.fault, node) {
            Some(reason) => Err(reason),
            None => {
                self.budget.admit(fault, name, now)?;
                taken.extend(places);
                Ok(node.clone())
            }
        }
    }

    fn release(&self, fault: &PlannedFault, names: &[Node]) {
        let mut taken = lock(&self.taken);
        for place in names.iter().flat_map(|&name| places(fault, name)) {
            taken.remove(&place);
        }
    }
}

/// Waits for a fault's trigger; an error says why it never came.
async fn due(fault: &PlannedFault, cluster: &Cluster, signals: &mut Signals) -> Result<(), String> {
    let over = "the faulty phase had ended";
    let mut ended = signals.over.clone();
    tokio::select! {
        biased;
        _ = ended.wait_for(|over| *over) => Err(match &fault.begins {
            Begins::At(_) => over.into(),
            Begins::Acknowledged(count) => {
                let seen = *signals.acknowledged.borrow();
                format!("it waits for acknowledged operation {count}; {over} after {seen}")
            }
            Begins::Since { acknowledged, .. } => {
                format!("it waits for {acknowledged} acknowledged operations more; {over} before")
            }
            Begins::Message { link, count } => {
                let seen = cluster.messages().get(link).copied().unwrap_or_default();
                format!("it waits for message {count} on {link}; {over} after {seen}")
            }
            Begins::Fsync { node, count } => {
                let seen = cluster.syncs().get(node).map_or(0, |seen| *seen.borrow());
                format!("it waits for sync {count} of {node}; {over} after {seen}")
            }
            Begins::AfterHeal(_) => "it waits for the heal".into(),
            Begins::Log { node, pattern } => {
                format!("it waits for a line of {node} that holds `{pattern}`; {over} before")
            }
        }),
        told = trigger(&fault.begins, cluster, signals.start, signals.acknowledged.clone()) => told,
    }
}

async fn trigger(
    begins: &Begins,
    cluster: &Cluster,
    start: Instant,
    acknowledged: watch::Receiver<u64>,
) -> Result<(), String> {
    let known = |node: Node| cluster.node(node).ok_or_else(|| format!("the cluster has no {node}"));
    match begins {
        Begins::At(nanos) => tokio::time::sleep_until(start + Duration::from_nanos(*nanos)).await,
        Begins::Acknowledged(count) => reaches(acknowledged, *count).await,
        Begins::Since { at_ns, acknowledged: more } => {
            more_since(start + Duration::from_nanos(*at_ns), acknowledged, *more).await;
        }
        Begins::AfterHeal(_) => std::future::pending().await,
        Begins::Message { link, count } => known(link.server())?.proxy().reached(*count).await,
        Begins::Fsync { node, count } => {
            let syncs = cluster.syncs().remove(node);
            reaches(syncs.ok_or_else(|| format!("nobody counts the syncs of {node}"))?, *count).await;
        }
        Begins::Log { node, pattern } => {
            let pattern = Regex::new(pattern).map_err(|why| why.to_string())?;
            // Told or not: the node outlives whoever waits for it.
            let _ = known(*node)?.heard().next(pattern).await;
        }
    }
    Ok(())
}

/// What was acknowledged before `moment` does not count.
async fn more_since(moment: Instant, acknowledged: watch::Receiver<u64>, more: u64) {
    tokio::time::sleep_until(moment).await;
    let known = *acknowledged.borrow();
    reaches(acknowledged, known.saturating_add(more)).await;
}

async fn reaches(mut counter: watch::Receiver<u64>, count: u64) {
    if counter.wait_for(|seen| *seen >= count).await.is_err() {
        // Nobody counts any more: the end of the phase will be told.
        std::future::pending::<()>().await;
    }
}

fn now(signals: &Signals) -> Moment {
    Moment { at: Instant::now(), acknowledged: *signals.acknowledged.borrow() }
}

/// Does something at several nodes side by side.
fn each<F>(nodes: &[Arc<NodeProcess>], act: impl Fn(Arc<NodeProcess>) -> F) -> JoinSet<Effect>
where
    F: Future<Output = Effect> + Send + 'static,
{
    nodes.iter().cloned().map(act).collect()
}

/// Held where all held.
async fn together(acts: JoinSet<Effect>) -> Effect {
    acts.join_all().await.into_iter().fold(Effect::held(true), Effect::and)
}

/// Ends what is under way; what had ended by itself may have met with an error.
async fn stopped(acts: &mut JoinSet<Effect>) -> Effect {
    acts.abort_all();
    let mut effect = Effect::held(true);
    while let Some(ended) = acts.join_next().await {
        match ended {
            Ok(ended) => effect = effect.and(ended),
            Err(error) if error.is_cancelled() => {}
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    effect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_acknowledged_after_the_moment_counts() {
        let (tell, acknowledged) = watch::channel(10);
        let begun = Instant::now();
        let millis = Duration::from_millis;
        let operations = async {
            for at in [100, 200, 400, 500, 600] {
                tokio::time::sleep_until(begun + millis(at)).await;
                tell.send_modify(|count| *count += 1);
            }
        };
        let waiting = async {
            more_since(begun + millis(300), acknowledged, 2).await;
            begun.elapsed()
        };
        assert_eq!(tokio::join!(waiting, operations).0, millis(500));
    }
}
