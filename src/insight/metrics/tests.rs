//! Tests of the table of metrics and of the series that need no request.

mod series;
mod table;
