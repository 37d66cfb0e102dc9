//! placeholder
#[derive(Debug)] pub struct Faulty; #[derive(Debug)] pub struct Fault; #[derive(Debug)] pub struct Operation;
