//! Invalid weights files.

use super::*;

#[test]
fn tensors_that_do_not_fit_the_layers_are_reported_by_name() {
    let plan = json!([4, 0, "relu", 2]);
    let (layers, good, outs) = stack(3, plan.as_array().unwrap(), &mut Numbers(3));
    let layers = {
        // The second linear layer also has a bias.
        let mut layers = layers;
        layers[3] = json!({"kind": "linear", "name": "out"});
        layers
    };
    let mut good = good;
    let weight = good.remove("3.weight").unwrap();
    good.insert("out.weight".into(), weight);
    good.insert("out.bias".into(), (vec![2], vec![0.0; 2]));
    let manifest = manifest(3, layers, "identity", outs);
    assert!(read(&manifest, &good).is_ok());

    let zeros = |shape: &[usize]| Some((shape.to_vec(), vec![0.0; shape.iter().product()]));
    for (name, tensor, want) in [
        ("0.weight", None, "w: 0.weight: missing"),
        ("1.running_mean", None, "w: 1.running_mean: missing"),
        (
            "2.weight",
            zeros(&[2]),
            "w: 2.weight: not used by any layer",
        ),
        (
            "0.weight",
            zeros(&[4, 5]),
            "w: 0.weight: got shape [4, 5], wants [n, 3]",
        ),
        (
            "0.weight",
            zeros(&[0, 3]),
            "w: 0.weight: got shape [0, 3], wants [n, 3]",
        ),
        (
            "0.weight",
            zeros(&[12]),
            "w: 0.weight: got shape [12], wants [n, 3]",
        ),
        ("0.bias", zeros(&[5]), "w: 0.bias: got shape [5], wants [4]"),
        (
            "1.weight",
            zeros(&[3]),
            "w: 1.weight: got shape [3], wants [4]",
        ),
        (
            "out.weight",
            zeros(&[3, 4]),
            "w: out.weight: got shape [3, 4], wants [2, 4]",
        ),
        (
            "out.weight",
            zeros(&[2, 3]),
            "w: out.weight: got shape [2, 3], wants [2, 4]",
        ),
        (
            "out.bias",
            zeros(&[1, 2]),
            "w: out.bias: got shape [1, 2], wants [2]",
        ),
        (
            "out.bias",
            Some((vec![2], vec![0.0, f32::NAN])),
            "w: out.bias: got NaN at element 1, wants finite weights",
        ),
        (
            "out.weight",
            Some((vec![2, 4], vec![f32::INFINITY; 8])),
            "w: out.weight: got inf at element 0, wants finite weights",
        ),
        (
            "1.running_var",
            Some((vec![4], vec![1.0, -1.0, 1.0, 1.0])),
            "w: 1.running_var: got -1 at element 1, wants more than 0 after eps is added",
        ),
        (
            "1.weight",
            Some((vec![4], vec![f32::MAX; 4])),
            "w: 0: weights do not fit f32 after batch norm is folded in",
        ),
    ] {
        let mut weights = good.clone();
        weights.remove(name);
        weights.extend(tensor.map(|tensor| (name.to_owned(), tensor)));
        if want.contains("f32") {
            weights.insert("0.weight".into(), (vec![4, 3], vec![1e10; 12]));
        }
        assert_eq!(read(&manifest, &weights).err(), Some(vec![want.to_owned()]));
    }
    let mut weights = good.clone();
    weights.insert("1.num_batches_tracked".into(), (vec![], vec![7.0]));
    assert!(
        read(&manifest, &weights).is_ok(),
        "torch writes it, and it is ignored"
    );

    let several = Weights::from([("x".into(), (vec![1], vec![0.0]))]);
    let faults = read(&manifest, &several).unwrap_err();
    assert_eq!(
        faults.len(),
        7,
        "six tensors are missing, one is not used: {faults:?}"
    );
}

#[test]
fn other_tensor_types_and_other_file_formats_are_refused() {
    let manifest = manifest(1, json!([{"kind": "linear", "name": "0"}]), "identity", 1);
    let refused = |file: &[u8]| {
        let (network, signature) = (architecture(&manifest), &manifest.signature);
        let read = Dense::read(
            &network,
            signature,
            file.to_vec(),
            Path::new("w"),
            &mut || {},
        );
        read.unwrap_err()
    };
    let data = [0_u8; 8];
    let view = TensorView::new(Dtype::I64, vec![1, 1], &data).unwrap();
    let file = safetensors::serialize([("0.weight", view)], None).unwrap();
    let faults = refused(&file);
    assert_eq!(
        faults.to_string(),
        "w: 0.weight: got I64, wants F32, F64, F16 or BF16"
    );
    let large = 1e300_f64.to_le_bytes();
    let view = TensorView::new(Dtype::F64, vec![1, 1], &large).unwrap();
    let faults = refused(&safetensors::serialize([("0.weight", view)], None).unwrap());
    let want = "w: 0.weight: got inf at element 0, wants finite weights";
    assert_eq!(faults.to_string(), want);
    for broken in [&file[..20], b"", b"PK\x03\x04 a zip, as pickles are"] {
        let faults = refused(broken);
        assert!(
            faults.to_string().starts_with("w: invalid safetensors: "),
            "{faults}"
        );
    }
}
