// Private endpoints of `network=private`, and the zones by which their names are found.
param networkId string
param subnetId string
param lakeId string
param hostStorageId string
param vaultId string
param withDatabase bool
param databaseId string
param location string
param tags object

var targets = concat(
  [
    { name: 'lake-blob', id: lakeId, group: 'blob', zone: 'blob' }
    { name: 'lake-dfs', id: lakeId, group: 'dfs', zone: 'dfs' }
    { name: 'lake-queue', id: lakeId, group: 'queue', zone: 'queue' }
    { name: 'host-blob', id: hostStorageId, group: 'blob', zone: 'blob' }
    { name: 'host-queue', id: hostStorageId, group: 'queue', zone: 'queue' }
    { name: 'host-table', id: hostStorageId, group: 'table', zone: 'table' }
    { name: 'vault', id: vaultId, group: 'vault', zone: 'vault' }
  ],
  withDatabase ? [{ name: 'database', id: databaseId, group: 'postgresqlServer', zone: 'database' }] : []
)
var storageSuffix = environment().suffixes.storage
var zoneNames = union(
  {
    blob: 'privatelink.blob.${storageSuffix}'
    dfs: 'privatelink.dfs.${storageSuffix}'
    queue: 'privatelink.queue.${storageSuffix}'
    table: 'privatelink.table.${storageSuffix}'
    vault: 'privatelink.vaultcore.azure.net'
  },
  withDatabase ? { database: 'privatelink.postgres.database.azure.com' } : {}
)

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for zone in items(zoneNames): {
    name: zone.value
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, i) in items(zoneNames): {
    parent: zones[i]
    name: 'landfall'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: networkId
      }
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for target in targets: {
    name: 'pep-${target.name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: target.name
          properties: {
            privateLinkServiceId: target.id
            groupIds: [target.group]
          }
        }
      ]
    }
  }
]

resource groups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (target, i) in targets: {
    parent: endpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: target.zone
          properties: {
            privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zoneNames[target.zone])
          }
        }
      ]
    }
    dependsOn: [zones]
  }
]
