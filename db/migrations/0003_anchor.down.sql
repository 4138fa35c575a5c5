-- The assets of the classes stay: nothing deletes an asset.
ALTER TABLE epochs DROP CONSTRAINT epochs_have_their_reference;
DROP TABLE epoch_factors;
DROP TABLE epochs;
DROP TABLE gpu_classes;
DROP FUNCTION check_epoch_follows();
DROP FUNCTION check_factor_is_published_with_its_epoch();
