use std::sync::Arc;

use proptest::prelude::*;
use registry_core::model::{check, programs};
use registry_core::storage::{Faulty, Memory};

fn run(future: impl Future<Output = Result<(), String>>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn memory_answers_like_the_model(program in programs(40)) {
        run(check(Arc::new(Memory::new()), &program))?;
    }

    #[test]
    fn a_wrapper_without_faults_answers_like_the_model(program in programs(20)) {
        run(check(Arc::new(Faulty::new(Arc::new(Memory::new()))), &program))?;
    }
}
