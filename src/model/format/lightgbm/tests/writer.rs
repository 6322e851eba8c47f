//! Writes ensembles in LightGBM's text format, and draws random ones.

use std::fmt::Write;

use crate::model::trees::{Ensemble, Leaf, Missing, Node, Test, Tree};

/// Pseudo-random numbers, the same for the same seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Self(seed ^ 0x9e37_79b9_7f4a_7c15);
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    /// Returns a number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    /// Returns a finite number of any size.
    pub(super) fn number(&mut self) -> f64 {
        match self.below(4) {
            0 => self.below(100) as f64 / 2.0,
            1 => (self.below(2_000_001) as f64 - 1e6) / 1e6,
            _ => Some(f64::from_bits(self.next()))
                .filter(|number| number.is_finite())
                .unwrap_or(1.5),
        }
    }
}

/// Returns a random ensemble of trees that LightGBM could have written.
pub(super) fn ensemble(random: &mut Random) -> Ensemble {
    let inputs = 1 + random.below(5);
    let outputs = 1 + random.below(3);
    let iterations = 1 + random.below(3);
    let trees = (0..iterations * outputs)
        .map(|index| tree(random, inputs, (index % outputs) as u32))
        .collect();
    Ensemble {
        inputs,
        outputs,
        base: vec![0.0; outputs],
        divisor: if random.below(2) == 0 {
            1.0
        } else {
            iterations as f64
        },
        trees,
    }
}

fn tree(random: &mut Random, inputs: usize, output: u32) -> Tree {
    let split_count = random.below(8);
    // As LightGBM grows trees: each split replaces a leaf, keeps its index for the left child and adds a leaf.
    let mut children = Vec::new();
    let mut owners: Vec<Option<(usize, bool)>> = vec![None];
    for split in 0..split_count {
        let leaf = random.below(owners.len());
        if let Some((parent, is_left)) = owners[leaf] {
            let pair: &mut (i64, i64) = &mut children[parent];
            *(if is_left { &mut pair.0 } else { &mut pair.1 }) = split as i64;
        }
        children.push((!(leaf as i64), !(owners.len() as i64)));
        owners[leaf] = Some((split, true));
        owners.push(Some((split, false)));
    }
    let index = |child: i64| match u32::try_from(child) {
        Ok(split) => split,
        Err(_) => split_count as u32 + !child as u32,
    };
    let mut nodes = Vec::new();
    for (left, right) in children {
        let (test, missing) = condition(random);
        nodes.push(Node::Split {
            input: random.below(inputs) as u32,
            test,
            missing,
            yes: index(left),
            no: index(right),
        });
    }
    let is_linear = random.below(3) == 0;
    nodes.extend((0..=split_count).map(|_| Node::Leaf(leaf(random, inputs, output, is_linear))));
    Tree { nodes }
}

fn condition(random: &mut Random) -> (Test, Missing) {
    if random.below(3) == 0 {
        let codes: Vec<u32> = (0..200)
            .filter(|_| random.below(9) == 0)
            .chain([200])
            .collect();
        let truncates_first = true;
        let test = Test::In {
            codes,
            truncates_first,
        };
        return (test, Missing::No);
    }
    let kinds = [
        Missing::Yes,
        Missing::No,
        Missing::AsZero,
        Missing::ZeroYes,
        Missing::ZeroNo,
    ];
    let threshold = match random.number() {
        // Thresholds below 1e-35 are read as another one with the same effect.
        tiny if tiny.abs() <= 1.1e-35 => 1.000_000_018_002_509_5e-35,
        number => number,
    };
    (Test::LessOrEqual(threshold), kinds[random.below(5)])
}

fn leaf(random: &mut Random, inputs: usize, output: u32, is_linear: bool) -> Leaf {
    let terms: Vec<(u32, f64)> = (0..random.below(4))
        .map(|_| (random.below(inputs) as u32, random.number()))
        .collect();
    if is_linear && !terms.is_empty() {
        return Leaf::Linear {
            output,
            constant: random.number(),
            terms,
            if_missing: random.number(),
        };
    }
    Leaf::One {
        output,
        value: random.number(),
    }
}

/// Writes an ensemble with the objective `objective`, which may be empty.
pub(super) fn write(ensemble: &Ensemble, objective: &str) -> String {
    let trees: Vec<String> = ensemble
        .trees
        .iter()
        .enumerate()
        .map(|(index, tree)| format!("Tree={index}\n{}\n\n", tree_text(tree)))
        .collect();
    let outputs = ensemble.outputs;
    let mut text = format!(
        "tree\nversion=v4\nnum_class={outputs}\nnum_tree_per_iteration={outputs}\nlabel_index=0\nmax_feature_idx={}\n",
        ensemble.inputs - 1
    );
    if !objective.is_empty() {
        writeln!(text, "objective={objective}").unwrap();
    }
    if ensemble.divisor != 1.0 {
        text.push_str("average_output\n");
    }
    let names: Vec<String> = (0..ensemble.inputs).map(|at| format!("x{at}")).collect();
    let infos = vec!["[0:1]"; ensemble.inputs];
    let sizes: Vec<String> = trees.iter().map(|tree| tree.len().to_string()).collect();
    let (names, infos, sizes) = (names.join(" "), infos.join(" "), sizes.join(" "));
    let fields = format!("feature_names={names}\nfeature_infos={infos}\ntree_sizes={sizes}\n");
    format!(
        "{text}{fields}\n{}end of trees\n\nfeature_importances:\nx0=1\n\nparameters:\n[boosting: gbdt]\n\nend of parameters\n\n\
         pandas_categorical:null\n",
        trees.concat()
    )
}

/// The lists of one tree, as texts.
#[derive(Default)]
struct Lists {
    fields: [Vec<String>; 9],
    bounds: Vec<usize>,
    words: Vec<u32>,
}

fn tree_text(tree: &Tree) -> String {
    let mut lists = Lists::default();
    let split_count = tree.nodes.len() / 2;
    let mut is_linear = false;
    for node in &tree.nodes {
        match node {
            Node::Split {
                input,
                test,
                missing,
                yes,
                no,
            } => {
                let (threshold, decision) = lists.condition(test, *missing);
                let child = |at: &u32| match (*at as usize).checked_sub(split_count) {
                    None => at.to_string(),
                    Some(leaf) => (!(leaf as i64)).to_string(),
                };
                let values = [
                    input.to_string(),
                    threshold,
                    decision.to_string(),
                    child(yes),
                    child(no),
                ];
                for (list, value) in lists.fields.iter_mut().zip(values) {
                    list.push(value);
                }
            }
            Node::Leaf(leaf) => is_linear |= lists.leaf(leaf),
        }
    }
    lists.text(split_count + 1, is_linear)
}

impl Lists {
    /// Returns the threshold and the decision type of a split.
    fn condition(&mut self, test: &Test, missing: Missing) -> (String, u8) {
        let decision = match missing {
            Missing::AsZero => 2,
            Missing::ZeroYes => 6,
            Missing::ZeroNo => 4,
            Missing::Yes => 10,
            Missing::No => 8,
        };
        match test {
            Test::LessOrEqual(threshold) => (threshold.to_string(), decision),
            Test::In { codes, .. } => {
                let set = self.bounds.len().saturating_sub(1);
                let length = codes.last().map_or(1, |last| last / 32 + 1);
                let mut words = vec![0_u32; length as usize];
                for code in codes {
                    words[*code as usize / 32] |= 1 << (code % 32);
                }
                if self.bounds.is_empty() {
                    self.bounds.push(0);
                }
                self.words.extend(words);
                self.bounds.push(self.words.len());
                (set.to_string(), decision | 1)
            }
            other => panic!("LightGBM has no {other:?}"),
        }
    }

    /// Adds a leaf and returns whether it needs a linear tree.
    fn leaf(&mut self, leaf: &Leaf) -> bool {
        let (value, constant, terms): (_, _, &[(u32, f64)]) = match leaf {
            Leaf::One { value, .. } => (value, value, &[]),
            Leaf::Linear {
                constant,
                terms,
                if_missing,
                ..
            } => (if_missing, constant, terms),
            other => panic!("LightGBM has no {other:?}"),
        };
        self.fields[5].push(value.to_string());
        self.fields[6].push(constant.to_string());
        let inputs: Vec<String> = terms.iter().map(|term| term.0.to_string()).collect();
        let factors: Vec<String> = terms.iter().map(|term| term.1.to_string()).collect();
        // LightGBM separates the leaves by several spaces.
        self.fields[7].push(format!("{}  ", inputs.join(" ")));
        self.fields[8].push(format!("{}  ", factors.join(" ")));
        !terms.is_empty()
    }

    fn text(&self, leaves: usize, is_linear: bool) -> String {
        let [
            inputs,
            thresholds,
            decisions,
            left,
            right,
            values,
            constants,
            features,
            factors,
        ] = self.fields.each_ref().map(|list| list.join(" "));
        let sets = self.bounds.len().saturating_sub(1);
        let mut text = format!(
            "num_leaves={leaves}\nnum_cat={sets}\nsplit_feature={inputs}\nthreshold={thresholds}\ndecision_type={decisions}\n\
             left_child={left}\nright_child={right}\nleaf_value={values}\n"
        );
        let join = |values: Vec<String>| values.join(" ");
        if sets > 0 {
            let bounds = join(self.bounds.iter().map(ToString::to_string).collect());
            let words = join(self.words.iter().map(ToString::to_string).collect());
            write!(text, "cat_boundaries={bounds}\ncat_threshold={words}\n").unwrap();
        }
        writeln!(text, "is_linear={}", u8::from(is_linear)).unwrap();
        if is_linear {
            let counts = self.fields[7].iter();
            let counts = join(
                counts
                    .map(|list| list.split_whitespace().count().to_string())
                    .collect(),
            );
            write!(
                text,
                "leaf_const={constants}\nnum_features={counts}\nleaf_features={features}\nleaf_coeff={factors}\n"
            )
            .unwrap();
        }
        text + "shrinkage=0.1\n"
    }
}
