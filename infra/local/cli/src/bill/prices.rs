//! AWS's list prices of what the control plane uses, and what a usage costs at them.
//!
//! us-east-1, USD, on demand, first tier, without the free tier, as recorded on [`RECORDED_ON`], from memory and from
//! third-party pages. Each names AWS's own page, to compare it with.

use std::collections::BTreeMap;

/// When the prices were recorded.
pub const RECORDED_ON: &str = "2026-11-23";

/// What AWS bills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// An invocation of a function.
    Invocation,
    /// A second of a function's time, times its memory in GB.
    GbSecond,
    /// A read request unit of DynamoDB.
    ReadUnit,
    /// A write request unit of DynamoDB.
    WriteUnit,
    /// A request to SQS of up to 64 KB, also one that brings nothing.
    QueueRequest,
    /// A metric asked for with `GetMetricData`.
    Metric,
    /// An alarm on one metric, for a month.
    Alarm,
    /// A gigabyte of logs taken in.
    LogGb,
    /// A gigabyte of logs kept, for a month.
    LogGbMonth,
    /// A secret, for a month.
    Secret,
    /// A request to KMS.
    KeyRequest,
}

/// The lines of a bill, in the order in which they are shown.
pub const LINES: [&str; 7] = [
    "Lambda",
    "DynamoDB requests",
    "SQS requests",
    "CloudWatch metrics read",
    "CloudWatch logs and alarms",
    "Secrets Manager",
    "KMS requests",
];

/// The price of an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Of what.
    pub item: Item,
    /// Its unit in words.
    pub unit: &'static str,
    /// USD for so many.
    pub usd: f64,
    /// So many.
    pub per: f64,
    /// Its line of the bill.
    pub line: &'static str,
    /// The public page that lists it.
    pub page: &'static str,
}

const fn price(item: Item, unit: &'static str, usd: f64, per: f64, line: usize, page: &'static str) -> Price {
    Price { item, unit, usd, per, line: LINES[line], page }
}

/// Every price. Lambda's is that of arm64, the template's default; on x86_64 a GB-second costs a quarter more.
pub const PRICES: [Price; 11] = [
    price(Item::Invocation, "invocation", 0.20, 1e6, 0, "https://aws.amazon.com/lambda/pricing/"),
    price(Item::GbSecond, "GB-second (arm64)", 0.000_013_333_4, 1.0, 0, "https://aws.amazon.com/lambda/pricing/"),
    price(Item::ReadUnit, "read request unit", 0.125, 1e6, 1, "https://aws.amazon.com/dynamodb/pricing/on-demand/"),
    price(Item::WriteUnit, "write request unit", 0.625, 1e6, 1, "https://aws.amazon.com/dynamodb/pricing/on-demand/"),
    price(Item::QueueRequest, "request, standard queue", 0.40, 1e6, 2, "https://aws.amazon.com/sqs/pricing/"),
    price(Item::Metric, "metric requested", 0.01, 1e3, 3, "https://aws.amazon.com/cloudwatch/pricing/"),
    price(Item::Alarm, "alarm metric, month", 0.10, 1.0, 4, "https://aws.amazon.com/cloudwatch/pricing/"),
    price(Item::LogGb, "GB of logs taken in", 0.50, 1.0, 4, "https://aws.amazon.com/cloudwatch/pricing/"),
    price(Item::LogGbMonth, "GB of logs kept, month", 0.03, 1.0, 4, "https://aws.amazon.com/cloudwatch/pricing/"),
    price(Item::Secret, "secret, month", 0.40, 1.0, 5, "https://aws.amazon.com/secrets-manager/pricing/"),
    price(Item::KeyRequest, "request", 0.03, 1e4, 6, "https://aws.amazon.com/kms/pricing/"),
];

/// How much of each item is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage(BTreeMap<Item, f64>);

impl Usage {
    /// This much of one item.
    #[must_use]
    pub fn one(item: Item, amount: f64) -> Self {
        Self([(item, amount)].into())
    }

    /// With so much more of an item.
    #[must_use]
    pub fn with(self, item: Item, amount: f64) -> Self {
        self.plus(&Self::one(item, amount))
    }

    /// How much of an item.
    #[must_use]
    pub fn of(&self, item: Item) -> f64 {
        self.0.get(&item).copied().unwrap_or_default()
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.0.clone();
        for (item, amount) in &other.0 {
            *sum.entry(*item).or_default() += amount;
        }
        Self(sum)
    }

    /// So many times this.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|(item, amount)| (*item, amount * factor)).collect())
    }

    /// What this has more than `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.times(-1.0))
    }

    /// The same without what is below zero: of two counts of one thing, the later may have been the quicker one.
    #[must_use]
    pub fn at_least_zero(&self) -> Self {
        Self(self.0.iter().map(|(item, amount)| (*item, amount.max(0.0))).collect())
    }

    /// What it costs, by line of the bill, in USD.
    #[must_use]
    pub fn cost(&self) -> BTreeMap<&'static str, f64> {
        let mut lines: BTreeMap<&'static str, f64> = LINES.iter().map(|line| (*line, 0.0)).collect();
        for price in PRICES {
            *lines.entry(price.line).or_default() += self.of(price.item) / price.per * price.usd;
        }
        lines
    }

    /// What it costs in all, in USD.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.cost().values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(amount: f64, expected: f64) -> bool {
        (amount - expected).abs() < 1e-9
    }

    #[test]
    fn a_million_of_each_costs_what_its_page_says() {
        for (item, usd) in [
            (Item::Invocation, 0.20),
            (Item::ReadUnit, 0.125),
            (Item::WriteUnit, 0.625),
            (Item::QueueRequest, 0.40),
            (Item::Metric, 10.0),
            (Item::KeyRequest, 3.0),
        ] {
            assert!(is(Usage::one(item, 1e6).total(), usd), "{item:?}");
        }
    }

    #[test]
    fn every_item_has_one_price_and_every_line_a_sum() {
        let items: std::collections::BTreeSet<Item> = PRICES.iter().map(|price| price.item).collect();
        assert_eq!(items.len(), PRICES.len());
        assert_eq!(items.last(), Some(&Item::KeyRequest), "an item without a price would cost nothing");
        let usage = PRICES.iter().fold(Usage::default(), |usage, price| usage.with(price.item, price.per));
        assert!(is(usage.total(), PRICES.iter().map(|price| price.usd).sum()));
        assert!(usage.cost().values().all(|usd| *usd > 0.0));
    }

    #[test]
    fn usages_add_up() {
        let one = Usage::one(Item::Metric, 4.0).with(Item::Secret, 1.0);
        let ten = one.times(10.0).with(Item::Alarm, 2.0);
        assert!(is(ten.minus(&one).of(Item::Metric), 36.0) && is(ten.of(Item::Alarm), 2.0));
        assert!(is(one.total(), 0.000_04 + 0.40));
    }
}
