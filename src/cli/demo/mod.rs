mod flights;
mod tally;
mod view;
