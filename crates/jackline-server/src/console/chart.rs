//! A chart of an hour as SVG: sixty bars, drawn here, without a script and without a style of its own. What it shows is said in words
//! too, for whoever does not see it.

/// One chart.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// The figures in words.
    pub(crate) said: String,
    pub(crate) bars: Vec<Bar>,
}

/// One bar, in the chart's own units.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) x: usize,
    pub(crate) y: u64,
    pub(crate) height: u64,
}

impl Chart {
    /// How wide a bar is with the gap after it, and how high the highest is.
    pub(crate) const STEP: usize = 5;
    pub(crate) const HEIGHT: u64 = 60;

    /// A chart of these values, oldest first. What is not nothing is seen.
    pub(crate) fn of(title: &'static str, said: String, values: &[u64]) -> Self {
        let most = values.iter().copied().max().unwrap_or(0).max(1);
        let bars = values.iter().enumerate().filter(|(_, value)| **value > 0);
        let bars = bars.map(|(at, value)| {
            let share = u128::from(*value) * u128::from(Self::HEIGHT) / u128::from(most);
            let height = u64::try_from(share).unwrap_or(Self::HEIGHT).max(2);
            Bar {
                x: at * Self::STEP,
                y: Self::HEIGHT - height,
                height,
            }
        });
        Self {
            title,
            said,
            bars: bars.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_chart_and_the_lowest_is_seen() {
        let values = [0, 1, u64::MAX, u64::MAX / 2];
        let heights: Vec<_> = Chart::of("", String::new(), &values)
            .bars
            .iter()
            .map(|bar| (bar.x, bar.height))
            .collect();
        assert_eq!(heights, [(5, 2), (10, 60), (15, 29)]);
        assert!(Chart::of("", String::new(), &[0; 60]).bars.is_empty());
        assert!(Chart::of("", String::new(), &[]).bars.is_empty());
    }
}
