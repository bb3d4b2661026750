import type { Quirks } from './dialect.ts'

/** Services whose differences from Amazon S3 are known. Every other is asked what it can, and so are these, but for what stands here. */
export type S3Preset = 'aws' | 'r2' | 'b2' | 'wasabi' | 'ibm' | 'ovh' | 'ceph' | 'minio' | 'digitalocean' | 'scaleway'

export interface Preset {
  /** `{region}` and `{account}` stand for the options of these names. Without one, the option `endpoint` is needed. */
  readonly endpoint?: string
  /** Where the option `region` is not given. */
  readonly region?: string
  /** The bucket in the path, not in the host name. */
  readonly pathStyle?: boolean
  readonly quirks?: Quirks
  /** Uploads in parts have equal ones, the last at most as large. */
  readonly equalParts?: boolean
}

/** A row says only what its source says: nothing is guessed from likeness. `aws` is what the driver speaks by itself. */
export const presets: Readonly<Record<S3Preset, Preset>> = {
  aws: {},

  // Endpoint, region and the table of checksums, where a CRC32C of parts is only ever composite:
  // https://developers.cloudflare.com/r2/api/s3/api/
  // Equal parts: https://developers.cloudflare.com/r2/objects/multipart-objects/
  r2: {
    endpoint: 'https://{account}.r2.cloudflarestorage.com',
    region: 'auto',
    quirks: { 'parts-crc32c': 'none' },
    equalParts: true,
  },

  // Endpoint: https://www.backblaze.com/docs/cloud-storage-call-the-s3-compatible-api
  // Checksum headers are a 400 InvalidArgument ("Unsupported header"), x-amz-checksum-mode on reads too:
  // https://www.backblaze.com/docs/cloud-storage-s3-compatible-api, https://github.com/vatesfr/xen-orchestra/issues/8358
  b2: {
    endpoint: 'https://s3.{region}.backblazeb2.com',
    quirks: { crc32c: 'refused', 'parts-crc32c': 'none' },
  },

  // One host a region, path style recommended: https://docs.wasabi.com/docs/rest-api-introduction
  wasabi: { endpoint: 'https://s3.{region}.wasabisys.com', pathStyle: true },

  // Endpoint: https://cloud.ibm.com/docs/cloud-object-storage?topic=cloud-object-storage-endpoints
  ibm: { endpoint: 'https://s3.{region}.cloud-object-storage.appdomain.cloud' },

  // Endpoint: "Endpoints and Object Storage geoavailability", https://github.com/ovh/docs (pages/…/object_storage/s3_location)
  ovh: { endpoint: 'https://s3.{region}.io.cloud.ovh.net' },

  // Host-style addressing needs a DNS name of its own (rgw_dns_name); the region is not looked at unless zone groups are set up:
  // https://docs.ceph.com/en/latest/radosgw/s3/commons/
  ceph: { region: 'us-east-1', pathStyle: true },

  // Host style needs MINIO_DOMAIN; the default region is us-east-1: https://min.io/docs/minio/linux/reference/minio-server/settings/core.html
  minio: { region: 'us-east-1', pathStyle: true },

  // Endpoint: https://docs.digitalocean.com/products/spaces/reference/s3-compatibility/
  digitalocean: { endpoint: 'https://{region}.digitaloceanspaces.com' },

  // Endpoint: https://www.scaleway.com/en/docs/object-storage/; conditional writes: …/api-cli/using-conditional-writes/
  scaleway: { endpoint: 'https://s3.{region}.scw.cloud' },
}
