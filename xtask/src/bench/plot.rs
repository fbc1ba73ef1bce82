//! A chart per route: a bar for each contender, as long as the time that its server needs for a request. Plain SVG, for bars are
//! rectangles and a library would have to be told as much.

use super::contenders::{Family, Route};
use super::measure::{Results, Row};

const WIDTH: f64 = 920.0;
/// Where bars begin; titles stand before it.
const LEFT: f64 = 330.0;
/// Room for a figure after the longest bar.
const RIGHT: f64 = 110.0;
const TOP: f64 = 64.0;
const STEP: f64 = 28.0;
const BAR: f64 = 18.0;

/// The file of a route's chart.
pub(crate) fn name(route: Route) -> &'static str {
    match route {
        Route::None => "none.svg",
        Route::Profile => "profile.svg",
        Route::Views => "views.svg",
        Route::Login => "login.svg",
    }
}

/// All charts and the names of their files.
pub(crate) fn all(results: &Results) -> Vec<(&'static str, String)> {
    Route::ALL
        .into_iter()
        .map(|route| {
            let rows = results.rows.iter().filter(|row| row.route == route);
            (name(route), chart(route, &rows.collect::<Vec<_>>()))
        })
        .collect()
}

fn chart(route: Route, rows: &[&Row]) -> String {
    let height = TOP + STEP * rows.len() as f64 + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\" role=\"img\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\" fill=\"#1b1f24\">{}</text>\n\
         <text x=\"16\" y=\"46\" fill=\"#57606a\">{}; microseconds of the server's core per request, less is better</text>\n",
        route.request(),
        route.title(),
    );
    let longest = rows
        .iter()
        .map(|row| row.figures().server_us)
        .fold(1.0, f64::max);
    for (number, row) in rows.iter().enumerate() {
        let us = row.figures().server_us;
        let y = TOP + STEP * number as f64;
        let text = y + BAR * 0.75;
        let length = us / longest * (WIDTH - LEFT - RIGHT);
        let (colour, weight) = match row.contender.family {
            Family::Jackline => ("#0b7a75", "bold"),
            Family::Floor => ("#8c959f", "normal"),
            Family::Peer => ("#c8792b", "normal"),
        };
        svg += &format!(
            "<text x=\"{:.0}\" y=\"{text:.1}\" text-anchor=\"end\" font-weight=\"{weight}\" fill=\"#1b1f24\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{text:.1}\" fill=\"#1b1f24\">{us:.1} µs</text>\n",
            LEFT - 8.0,
            row.contender.title,
            LEFT + length + 6.0,
        );
    }
    svg + "</svg>\n"
}
