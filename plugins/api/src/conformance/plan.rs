//! Planning by steps against planning at once.

use std::collections::BTreeMap;

use super::Harness;
use super::session::name;
use crate::plane::{DataPlane, Route, RouteTable, ServiceName, Touched, Wanted};

/// Steps of the random walk.
const STEPS: usize = 400;

/// The resources after any sequence of planned changes are those of planning the whole table.
pub async fn incremental_plan_equals_full_plan<H: Harness>(mut harness: H) {
    let mut stepwise = harness.plane().await;
    let mut table = RouteTable::new();
    let mut resources = full(&mut stepwise, &table);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for step in 0..STEPS {
        let touched = change(&harness, &mut table, &mut dice);
        take::<H::Plane>(&mut resources, stepwise.plan(&table, Touched::Names(&touched)));
        if step % 20 == 0 {
            let whole = full(&mut stepwise, &table);
            assert_eq!(
                resources, whole,
                "step {step}: planned by names and planned as a whole differ"
            );
        }
        if touched.is_empty() {
            continue;
        }
        let again = stepwise.plan(&table, Touched::Names(&touched));
        let mut repeated = resources.clone();
        take::<H::Plane>(&mut repeated, again);
        assert_eq!(
            repeated, resources,
            "step {step}: planning the same names twice changed the outcome"
        );
    }
}

type Resources<P> = BTreeMap<<P as DataPlane>::Key, <P as DataPlane>::Resource>;

fn full<P: DataPlane<Route = Route>>(plane: &mut P, table: &RouteTable) -> Resources<P> {
    let mut resources = BTreeMap::new();
    take::<P>(&mut resources, plane.plan(table, Touched::All));
    resources
}

fn take<P: DataPlane>(resources: &mut Resources<P>, wanted: Vec<Wanted<P>>) {
    for (key, resource) in wanted {
        match resource {
            Some(resource) => drop(resources.insert(key, resource)),
            None => drop(resources.remove(&key)),
        }
    }
}

/// Changes up to four names of the table at random.
fn change<H: Harness>(harness: &H, table: &mut RouteTable, dice: &mut Dice) -> Vec<ServiceName> {
    let mut touched: Vec<ServiceName> = (0..dice.roll(4)).map(|_| name(dice.roll(12))).collect();
    touched.sort();
    touched.dedup();
    for name in &touched {
        match [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)][dice.roll(7)] {
            None => drop(table.remove(name)),
            Some(variant) => drop(table.insert(name.clone(), harness.route(name, variant))),
        }
    }
    touched
}

/// xorshift64: repeatable, and no dependency.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The upper bits, which fit any usize.
        (self.0 >> 40) as usize % sides
    }
}
