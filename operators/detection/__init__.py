"""Parts of anchor-based object detection that no network owns: anchors, targets, loss, decoding, evaluation."""
